export type Row = Record<string, unknown>;

/**
 * Runs one statement with `$1`-style parameters and gives its rows. `bigint` columns arrive as
 * numbers (a value beyond 2^53 throws); JSON parameters are passed as text.
 */
export type Query = <T = Row>(sql: string, params?: unknown[]) => Promise<T[]>;

export type Database = {
  kind: 'pglite' | 'postgres';
  query: Query;
  /**
   * Commits what `work` did through the query it is given, or nothing when it throws. `work` may
   * be called again after a deadlock or a serialization failure, so it must keep to the database.
   */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/** Runs a transaction that is rolled back when its work gives undefined; then it gives undefined too. */
export async function rolledBackIfUndefined<T>(
  database: Pick<Database, 'transaction'>,
  work: (query: Query) => Promise<T | undefined>,
): Promise<T | undefined> {
  const nothing = Symbol('nothing');
  try {
    return await database.transaction(async (query) => {
      const result = await work(query);
      if (result === undefined) throw nothing;
      return result;
    });
  } catch (error) {
    if (error === nothing) return undefined;
    throw error;
  }
}

/** An operating error of the ledger; the message is one line that says what to do. */
export class LedgerError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LedgerError';
  }
}

/**
 * Reads a bigint column as a number: amounts and milliseconds are far below 2^53.
 * @throws Error when the value is not a safe integer
 */
export function parseBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`bug: ${text} does not fit a safe integer`);
  return value;
}

/**
 * Settings of every connection: queries use indexes even when tables are small or have no statistics
 * (PGlite never analyses), and no query runs long enough for JIT compilation to pay.
 */
export const connectionSettings = { random_page_cost: '1.1', jit: 'off' } as const;
