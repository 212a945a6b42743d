/**
 * Time as the engine sees it outside Redis, in milliseconds since the epoch. ReconciliationQueries and holds
 * never depend on it: inside a lane the clock is Redis TIME.
 */
export type Clock = { now(): number };

export const systemClock: Clock = { now: () => Date.now() };
