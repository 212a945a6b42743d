import { setTimeout as wait, setImmediate as yieldOnce } from 'node:timers/promises';
import type { FaultPlan } from './faults.ts';
import {
  type BookEvent,
  type Forgery,
  forgeries,
  type Protocol,
  type Simulator,
} from './protocol.ts';

/** The answer to a notification; with `status` 0 there was none and `body` says why. */
export type Answer = { status: number; body: string };

/** Counts of sent notifications and their answers, true and forged ones apart. */
export type NotificationFigures = {
  sent: number;
  taken: number;
  /** True notifications that a fault suppressed, and those given up after the last repeat. */
  lost: number;
  givenUp: number;
  forged: number;
  /** Forged notifications that were accepted: a breach if not 0. */
  forgeriesTaken: number;
  /** Answers by their status; 0 for none. */
  answers: Record<number, number>;
  answersToForgeries: Record<number, number>;
};

export type Notifier = {
  /** Queues the notification of an event, with the faults drawn for it. */
  notify(event: BookEvent): void;
  /** Sends a notification now, `times` times, and returns the answers; undefined if there is none. */
  send(
    event: BookEvent,
    how?: { times?: number; parallel?: boolean; forge?: Forgery | undefined },
  ): Promise<Answer[] | undefined>;
  figures(): NotificationFigures;
  stop(): Promise<void>;
};

/** Delays between repeats of a notification, in ms; real providers wait minutes and hours. */
const backoffMs = [50, 200, 1_000, 5_000, 15_000, 60_000] as const;
const answerMsMax = 5_000;
/** The longest time that a notification is held back so that a later one overtakes it, in ms. */
const heldMsMax = 2_000;
const answerCharactersMax = 10_000;

export function openNotifier(options: {
  protocol: Protocol;
  simulator: Simulator;
  faults: FaultPlan;
}): Notifier {
  const { protocol, simulator, faults } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Set<Promise<void>>();
  const held = new Set<() => void>();
  const figures: NotificationFigures = {
    sent: 0,
    taken: 0,
    lost: 0,
    givenUp: 0,
    forged: 0,
    forgeriesTaken: 0,
    answers: {},
    answersToForgeries: {},
  };

  /** Signs and sends once; undefined when the provider has no such message. */
  function post(event: BookEvent, forge?: Forgery): Promise<Answer> | undefined {
    const message = protocol.notification(event, simulator, forge);
    return message && deliver(event.charge.notifyUrl, message, forge);
  }

  async function deliver(
    url: string,
    message: { headers: Record<string, string>; body: Buffer },
    forge: Forgery | undefined,
  ): Promise<Answer> {
    figures[forge ? 'forged' : 'sent'] += 1;
    const answer = await answerTo(url, message, signal);
    const answers = forge ? figures.answersToForgeries : figures.answers;
    answers[answer.status] = (answers[answer.status] ?? 0) + 1;
    if (isTaken(answer)) figures[forge ? 'forgeriesTaken' : 'taken'] += 1;
    return answer;
  }

  function isTaken(answer: Answer): boolean {
    return answer.status !== 0 && protocol.isTaken(answer);
  }

  async function untilTaken(event: BookEvent): Promise<void> {
    for (const waitMs of [...backoffMs, undefined]) {
      const answer = await post(event);
      releaseHeld();
      if (!answer || isTaken(answer)) return;
      if (waitMs === undefined) break;
      await wait(waitMs, undefined, { signal });
    }
    figures.givenUp += 1;
  }

  function releaseHeld(): void {
    for (const go of held) go();
    held.clear();
  }

  /** Resolves when another notification was sent. */
  function overtaken(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, heldMsMax);
      const go = () => {
        clearTimeout(timer);
        resolve();
      };
      held.add(go);
      signal.addEventListener('abort', go, { once: true });
    });
  }

  async function deliverEvent(event: BookEvent): Promise<void> {
    // The code that caused the event may still change the charge in this turn of the event loop.
    await yieldOnce();
    const about = `${event.charge.reference} ${event.kind}`;
    const { delayMs, repeats } = faults.settings();
    const happens = (chance: Parameters<FaultPlan['happens']>[0]) => faults.happens(chance, about);
    // All are drawn every time, so that changing one probability does not change the other draws.
    const [lost, late, again, after, forged] = [
      happens('lose'),
      happens('delay'),
      happens('repeat'),
      happens('reorder'),
      happens('forge'),
    ];
    const forgery = forged ? post(event, faults.pick(forgeries, about)) : undefined;
    if (lost) figures.lost += 1;
    else {
      if (late) await wait(delayMs, undefined, { signal });
      if (after) await overtaken();
      signal.throwIfAborted();
      const copies = Array.from({ length: again ? 1 + repeats : 1 }, () => untilTaken(event));
      await Promise.all(copies);
    }
    await forgery;
  }

  return {
    notify(event) {
      if (signal.aborted) return;
      const task = deliverEvent(event).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      underWay.add(task);
      void task.finally(() => underWay.delete(task));
    },
    async send(event, { times = 1, parallel = false, forge } = {}) {
      const message = protocol.notification(event, simulator, forge);
      if (!message) return undefined;
      const { notifyUrl } = event.charge;
      if (parallel) {
        return await Promise.all(
          Array.from({ length: times }, () => deliver(notifyUrl, message, forge)),
        );
      }
      const answers: Answer[] = [];
      while (answers.length < times) answers.push(await deliver(notifyUrl, message, forge));
      return answers;
    },
    figures: () => structuredClone(figures),
    async stop() {
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}

async function answerTo(
  url: string,
  { headers, body }: { headers: Record<string, string>; body: Buffer },
  stopping: AbortSignal,
): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      // Providers do not follow redirects with a signed notification.
      redirect: 'manual',
      signal: AbortSignal.any([stopping, AbortSignal.timeout(answerMsMax)]),
    });
    return { status: response.status, body: (await response.text()).slice(0, answerCharactersMax) };
  } catch (error) {
    const { message, cause } = error as Error;
    return { status: 0, body: cause instanceof Error ? `${message}: ${cause.message}` : message };
  }
}
