/**
 * Waits for `work` for at most `ms` milliseconds. The work itself goes on after that, and its result
 * or error is then ignored.
 * @returns the result of the work; undefined when it took longer
 * @throws the error of the work, when it fails within the time
 */
export async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
    timer.unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
