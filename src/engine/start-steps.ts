/** Called when a step of the start is done, with how long it took in ms. */
export type OnStep = (what: string, ms: number) => void;

/** Runs a step of the start and reports it when it is done; one that fails is not reported. */
export type Step = <T>(what: string, work: () => Promise<T>) => Promise<T>;

export function timeSteps(onStep: OnStep = () => {}): Step {
  return async (what, work) => {
    const since = performance.now();
    const result = await work();
    onStep(what, performance.now() - since);
    return result;
  };
}
