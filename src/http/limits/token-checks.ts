import { QueueFull } from '../../batching/batcher.ts';
import { openFairQueue } from '../../batching/fair-queue.ts';
import { networkOf } from './addresses.ts';

export type TokenChecks = ReturnType<typeof openTokenChecks>;

const windowMs = 10_000;
/** 1,600 failed checks a second, a fifth of a core: checking a signature takes 0.1 to 0.16 ms. */
const sliceMs = 10;
const failuresInSlice = 16;
const queueMax = 1_000;
/** Of those that wait, in one turn of the event loop: up to 10 ms. */
const startsInTurn = 64;

type Waiting = { start(): void; drop(): void };

/**
 * Bounds what made-up tokens cost, in each process. A network has `failuresMax` failed checks free in a
 * window of ten seconds, and all networks together `failuresMaxInAll`. Once its failures are spent, a
 * network is paced: its tokens are checked at once until sixteen of paced networks have failed within ten
 * milliseconds; further ones wait in a queue for the next ten, valid ones too, one of each network in
 * turn. Other networks are not delayed. Once those of all are spent, every network that had a failure is
 * paced; those that had none are not.
 */
export function openTokenChecks(options: {
  failuresMax: number;
  failuresMaxInAll: number;
  /** Milliseconds on a clock that never goes back. */
  now?: (() => number) | undefined;
}) {
  const { failuresMax, failuresMaxInAll, now = () => performance.now() } = options;
  /** Of this window, by network. A window has time for some 100,000 checks, so it is bounded. */
  const free = new Map<string, number>();
  let freeInAll = 0;
  let window = 0;
  /** Failures of paced networks in this slice. */
  let paced = 0;
  let slice = 0;
  const queue = openFairQueue<Waiting>(queueMax);
  let timer: NodeJS.Timeout | undefined;
  let turn: NodeJS.Immediate | undefined;

  function enter(): void {
    const at = now();
    const [currentWindow, currentSlice] = [Math.floor(at / windowMs), Math.floor(at / sliceMs)];
    if (currentWindow !== window) {
      free.clear();
      freeInAll = 0;
      window = currentWindow;
    }
    if (currentSlice !== slice) paced = 0;
    slice = currentSlice;
  }

  function isPaced(network: string): boolean {
    const failures = free.get(network) ?? 0;
    return failures >= failuresMax || (failures > 0 && freeInAll >= failuresMaxInAll);
  }

  /**
   * Lets tokens that wait be checked until the slice has its failures, or none waits; after some, other
   * requests have their turn.
   */
  function serve(): void {
    if (turn) return;
    enter();
    for (let n = 0; n < startsInTurn && paced < failuresInSlice && queue.size() > 0; n += 1) {
      for (const { start } of queue.take(1)) start();
    }
    if (queue.size() === 0) return;
    if (paced < failuresInSlice) {
      turn = setImmediate(() => {
        turn = undefined;
        serve();
      });
      return;
    }
    if (timer) return;
    const restMs = (slice + 1) * sliceMs - now();
    timer = setTimeout(() => {
      timer = undefined;
      serve();
    }, restMs);
  }

  return {
    /**
     * Runs the check of a token from this address, at once or at its turn. The check reports by `failed`.
     * @throws QueueFull (as a rejection) when too many tokens wait, most of them from its network
     */
    run<T>(address: string, check: () => T | Promise<T>): T | Promise<T> {
      const network = networkOf(address);
      enter();
      if (!isPaced(network)) return check();
      // Those who wait go first.
      serve();
      if (queue.size() === 0 && paced < failuresInSlice) return check();
      return new Promise<T>((resolve, reject) => {
        const start = () => {
          try {
            resolve(check());
          } catch (error) {
            reject(error);
          }
        };
        const drop = () => reject(new QueueFull());
        queue.add({ start, drop }, network)?.drop();
        serve();
      });
    },

    /** Counts a token whose signature was checked in vain. */
    failed(address: string): void {
      const network = networkOf(address);
      if (isPaced(network)) {
        paced += 1;
        return;
      }
      free.set(network, (free.get(network) ?? 0) + 1);
      freeInAll += 1;
    },
  };
}
