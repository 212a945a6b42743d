/** Whether a store takes writes, and how long ago one last succeeded, ms; undefined when none has yet. */
export type StoreHealth = { takesWrites: boolean; ageMs: number | undefined };

/** Each asks a store by a write. Anybody may ask at any rate, so an answer is kept for a while. */
export type Health = { redis(): Promise<StoreHealth>; ledger(): Promise<StoreHealth> };

export type Readiness = { redis: StoreHealth; ledger: StoreHealth };

/** Asks both stores. */
export async function readinessOf(health: Health): Promise<Readiness> {
  const [redis, ledger] = await Promise.all([health.redis(), health.ledger()]);
  return { redis, ledger };
}

/** Whether a process may be sent requests, as far as its stores go. */
export function areStoresReady({ redis, ledger }: Readiness): boolean {
  return redis.takesWrites && ledger.takesWrites;
}
