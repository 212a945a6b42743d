import type { Database, Query } from './database.ts';

/** Asks the process that has the database open. */
export type AskDatabase = <T>(topic: string, payload?: unknown) => Promise<T>;

type Statement = { sql: string; params: unknown[]; transaction?: number };
type Held = { query: Query; commit(): void; rollback(why: Error): void; done: Promise<void> };

/**
 * Lets another process use a database that only this one can have open. Its transactions hold the
 * database's turn like those made here; as that holds up everybody, one that stands still for
 * `idleMsMax` is rolled back.
 */
export function shareDatabase(database: Database, { idleMsMax = 10_000 } = {}) {
  const held = new Map<number, Held>();
  let opened = 0;
  let closed = false;

  async function begin(): Promise<number> {
    const turn = Promise.withResolvers<Query>();
    const end = Promise.withResolvers<void>();
    end.promise.catch(() => {}); // It may be rolled back before anything waits for its end.
    let idle: NodeJS.Timeout | undefined;
    const watch = () => {
      idle = setTimeout(() => {
        end.reject(new Error('the transaction stood still for too long and was rolled back'));
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
    /** What the other process may ask for, by topic. */
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
    /** The other process is gone: what it had begun is rolled back. */
    close(): void {
      closed = true;
      for (const { rollback } of held.values()) rollback(new Error('the process is gone'));
    },
  };
}

/** The database of another process, which answers to shareDatabase's topics. */
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
        // One that is over already, or whose process is gone, has been rolled back there.
        await ask('rollback', transaction).catch(() => {});
        throw error;
      }
    },
    close: async () => {},
  };
}
