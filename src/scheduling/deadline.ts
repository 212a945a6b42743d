/**
 * Waits for `work` for at most `ms` milliseconds. The work itself goes on after that, and what it
 * comes to then is dropped. A rejection within the time is passed on.
 * @returns what the work gave, undefined when it took longer
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
