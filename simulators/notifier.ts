import { setTimeout as wait, setImmediate as yieldOnce } from 'node:timers/promises';
import type { FaultPlan } from './faults.ts';
import {
  type BookEvent,
  type Forgery,
  forgeries,
  type Protocol,
  type Simulator,
} from './protocol.ts';

/** What came back for a message; `status` 0: no answer at all, `body` says why. */
export type Answer = { status: number; body: string };

/** What was sent and how it was answered, true messages and forged ones apart. */
export type NotificationFigures = {
  sent: number;
  taken: number;
  /** True messages that faults kept back, and those given up after the last repeat. */
  lost: number;
  givenUp: number;
  forged: number;
  /** Forged messages that were believed: a breach if not 0. */
  forgeriesTaken: number;
  /** Answers by their status; 0 for none. */
  answers: Record<number, number>;
  answersToForgeries: Record<number, number>;
};

export type Notifier = {
  /** Sends the message about an event in its own time, with the faults that befalls it. */
  tell(event: BookEvent): void;
  /** Sends a message now, so many times, and gives the answers; undefined if there is none. */
  send(
    event: BookEvent,
    how?: { times?: number; parallel?: boolean; forge?: Forgery | undefined },
  ): Promise<Answer[] | undefined>;
  figures(): NotificationFigures;
  stop(): Promise<void>;
};

/** Waits between the repeats of a message that is not taken: real ones wait minutes and hours. */
const backoffMs = [50, 200, 1_000, 5_000, 15_000, 60_000] as const;
const answerMsMax = 5_000;
/** A message held back for a later one to pass it goes out by then in any case. */
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
      letHeldGo();
      if (!answer || isTaken(answer)) return;
      if (waitMs === undefined) break;
      await wait(waitMs, undefined, { signal });
    }
    figures.givenUp += 1;
  }

  function letHeldGo(): void {
    for (const go of held) go();
    held.clear();
  }

  /** Until another message has gone out. */
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

  async function tell(event: BookEvent): Promise<void> {
    // Whoever made the event may still have something to write down about the charge.
    await yieldOnce();
    const about = `${event.charge.reference} ${event.kind}`;
    const { delayMs, repeats } = faults.settings();
    const happens = (chance: Parameters<FaultPlan['happens']>[0]) => faults.happens(chance, about);
    // Each is drawn whatever the others say, so that one chance changed leaves the rest as it was.
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
    tell(event) {
      if (signal.aborted) return;
      const task = tell(event).catch((error: unknown) => {
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
      // A provider follows nobody elsewhere with a signed message.
      redirect: 'manual',
      signal: AbortSignal.any([stopping, AbortSignal.timeout(answerMsMax)]),
    });
    return { status: response.status, body: (await response.text()).slice(0, answerCharactersMax) };
  } catch (error) {
    const { message, cause } = error as Error;
    return { status: 0, body: cause instanceof Error ? `${message}: ${cause.message}` : message };
  }
}
