const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal that is aborted by Ctrl-C or a supervisor; `onAgain` is called for each further one. */
export function stoppedBySignal(onAgain: () => void): AbortSignal {
  const controller = new AbortController();
  for (const signal of signals) {
    process.on(signal, () => {
      if (controller.signal.aborted) onAgain();
      else controller.abort(signal);
    });
  }
  return controller.signal;
}

/**
 * Waits for work for as long as the run goes on. What was waited for may go on in the background
 * and fail there unnoticed: the code that started it ends it.
 * @throws the signal's reason once the run is to stop
 */
export function openWaiting(stop: AbortSignal): <T>(work: Promise<T>) => Promise<T> {
  const stopped = new Promise<never>((_, reject) => {
    const tell = () => reject(new Error(`stopped by ${stop.reason}`));
    if (stop.aborted) tell();
    else stop.addEventListener('abort', tell, { once: true });
  });
  stopped.catch(() => {});
  return (work) => {
    work.catch(() => {});
    return Promise.race([work, stopped]);
  };
}
