/**
 * Calls back once in each step of a run, in its middle: `now` is ms since the opening. A timer that
 * only repeats would drift, and leave out a step now and then. Returns a function that ends it.
 */
export function everyStep(options: {
  stepMs: number;
  now(): number;
  act(atMs: number): void;
}): () => void {
  const { stepMs, now, act } = options;
  let timer: NodeJS.Timeout;
  let next = Math.floor(now() / stepMs);

  function turn(): void {
    const atMs = now();
    const step = Math.floor(atMs / stepMs);
    if (step >= next) {
      next = step + 1;
      act(atMs);
    }
    timer = setTimeout(turn, (next + 0.5) * stepMs - now());
  }

  turn();
  return () => clearTimeout(timer);
}
