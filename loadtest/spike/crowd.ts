import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Step } from '../workload/counters.ts';
import type { Order, Word } from '../workload/load-process.ts';
import type { Parameters } from '../workload/parameters.ts';
import type { Goods } from '../workload/people.ts';
import { type Group, groupsOf } from '../workload/schedule.ts';

const file = new URL('../workload/load-process.ts', import.meta.url);

/** The load processes of a run, each with its part of the crowd. */
export type Crowd = {
  groups: Group[];
  /** Files that hold the clients' books once the crowd is done. */
  books: string[];
  pids: number[];
  /** Resolves with how many acts are scheduled, once every process has its buyers' tokens. */
  gathered: Promise<number>;
  go(word: { opensAt: number; goods: Goods }): void;
  /** Resolves when all processes have reported everything; rejects when one of them fails. */
  done: Promise<void>;
  /** Ends all of them at once, and resolves when they are gone. */
  stop(): Promise<void>;
};

export function openCrowd(options: {
  address: string;
  currency: string;
  seed: number;
  parameters: Parameters;
  processes: number;
  folder: string;
  stepMs: number;
  onSteps(steps: Step[]): void;
}): Crowd {
  const { address, currency, seed, parameters, folder, stepMs } = options;
  const groups = groupsOf(parameters);
  const count = Math.max(1, Math.min(options.processes, groups.length));
  const children = Array.from({ length: count }, () => {
    return fork(file, {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  });
  const books = children.map((_, n) => join(folder, `book-${n}.ndjson`));
  const ready = children.map(() => Promise.withResolvers<number>());
  const tell = (child: ChildProcess, order: Order) => void (child.connected && child.send(order));

  async function follow(child: ChildProcess, n: number): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const fail = (reason: string) => {
      const error = new Error(`a load process failed: ${reason}`);
      ready[n]?.reject(error);
      ended.reject(error);
    };
    child.on('message', (word: Word) => {
      if (word.kind === 'ready') ready[n]?.resolve(word.scheduled);
      else if (word.kind === 'steps') options.onSteps(word.steps);
      else if (word.kind === 'done') ended.resolve();
      else fail(word.reason);
    });
    child.on('exit', () => fail('it ended early'));
    tell(child, {
      kind: 'gather',
      address,
      currency,
      seed,
      parameters,
      stepMs,
      groups: groups.filter((_, at) => at % count === n),
      book: books[n] as string,
    });
    try {
      await ended.promise;
    } finally {
      if (child.connected) child.disconnect();
      await gone[n];
    }
  }

  const gathered = Promise.all(ready.map(({ promise }) => promise)).then((parts) => {
    return parts.reduce((sum, part) => sum + part, 0);
  });
  const gone = children.map((child) => once(child, 'exit'));
  const done = Promise.all(children.map(follow)).then(() => undefined);
  // Both promises reject together; only the awaited one needs handling.
  gathered.catch(() => {});
  done.catch(() => {});
  return {
    groups,
    books,
    gathered,
    done,
    pids: children.map((child) => child.pid ?? 0),
    go: (word) => children.forEach((child) => void tell(child, { kind: 'go', ...word })),
    async stop() {
      // A load process ends when its parent is gone.
      for (const child of children) if (child.connected) child.disconnect();
      await Promise.all(gone);
    },
  };
}
