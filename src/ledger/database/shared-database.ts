import type { Database, Query } from './database.ts';

/** Sends a request to the process that has the database open. */
export type AskDatabase = <T>(topic: string, payload?: unknown) => Promise<T>;

type Statement = { sql: string; params: unknown[]; transaction?: number };
type Held = { query: Query; commit(): void; rollback(why: Error): void; done: Promise<void> };

/**
 * Lets another process use a database that only this process can have open. Its transactions block all
 * others, like those of this process do, so one that is idle for `idleMsMax` is rolled back.
 */
export function shareDatabase(database: Database, { idleMsMax = 10_000 } = {}) {
  const held = new Map<number, Held>();
  let opened = 0;
  let closed = false;

  async function begin(): Promise<number> {
    const turn = Promise.withResolvers<Query>();
    const end = Promise.withResolvers<void>();
    end.promise.catch(() => {}); // It may be rolled back before anything awaits its end.
    let idle: NodeJS.Timeout | undefined;
    const watch = () => {
      idle = setTimeout(() => {
        end.reject(new Error('the transaction was idle for too long and was rolled back'));
      }, idleMsMax);
    };
    const done = database
      .transaction(async (query) => {
        if (closed) throw new Error('the process that asked is gone');
        watch();
        turn.resolve(async (sql, params) => {
          clearTimeout(idle);
          try {
            return await query(sql, params);
          } finally {
            watch();
          }
        });
        await end.promise;
      })
      .finally(() => clearTimeout(idle));
    done.catch(turn.reject);
    const query = await turn.promise;
    opened += 1;
    const id = opened;
    held.set(id, { query, commit: end.resolve, rollback: end.reject, done });
    const forget = () => held.delete(id);
    done.then(forget, forget);
    return id;
  }

  function find(id: number): Held {
    const transaction = held.get(id);
    if (!transaction) throw new Error('the transaction is over');
    return transaction;
  }

  return {
    /** The requests of the other process, by topic. */
    handlers: {
      query: ({ sql, params, transaction }: Statement) =>
        (transaction === undefined ? database.query : find(transaction).query)(sql, params),
      begin,
      commit(id: number) {
        const transaction = find(id);
        transaction.commit();
        return transaction.done;
      },
      async rollback(id: number) {
        const transaction = find(id);
        transaction.rollback(new Error('rolled back'));
        await transaction.done.catch(() => {});
      },
    },
    /** To be called when the other process has ended: its transactions are rolled back. */
    close(): void {
      closed = true;
      for (const { rollback } of held.values()) rollback(new Error('the process is gone'));
    },
  };
}

/** The database of another process, which answers with the handlers of shareDatabase. */
export function openSharedDatabase(kind: Database['kind'], ask: AskDatabase): Database {
  return {
    kind,
    query: (sql, params = []) => ask('query', { sql, params }),
    async transaction(work) {
      const transaction = await ask<number>('begin');
      try {
        const result = await work((sql, params = []) => ask('query', { sql, params, transaction }));
        await ask('commit', transaction);
        return result;
      } catch (error) {
        // A transaction that has ended, or whose process has, is rolled back there already.
        await ask('rollback', transaction).catch(() => {});
        throw error;
      }
    },
    close: async () => {},
  };
}
