/**
 * The clock outside Redis, in milliseconds since the epoch. A drop's window and the ends of holds never
 * depend on it: inside a lane the clock is Redis TIME.
 */
export type Clock = { now(): number };

export const systemClock: Clock = { now: () => Date.now() };
