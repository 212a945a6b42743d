/** The item was not accepted: too many items wait, or the oldest has waited for too long. */
export class QueueFull extends Error {
  constructor() {
    super('the queue is full');
    this.name = 'QueueFull';
  }
}

export type BatcherOptions<In, Out> = {
  /** Runs one batch; answers are in the order of the items. An error fails all of them. */
  run(batch: In[]): Promise<Out[]>;
  batchMax: number;
  inFlightMax: number;
  queueMax: number;
  /** No item is accepted while the oldest has waited for longer than this, ms. */
  waitMsMax?: number;
  now?: () => number;
};

export type Batcher<In, Out> = {
  /**
   * Resolves with the item's answer.
   * @throws QueueFull when the item was not accepted, or the error of its batch
   */
  add(item: In): Promise<Out>;
  /** Items waiting, not yet in flight. */
  waiting(): number;
  inFlight(): number;
};

type Waiting<In, Out> = {
  item: In;
  since: number;
  resolve(answer: Out): void;
  reject(error: unknown): void;
};

/**
 * Collects items that arrive while a batch is in flight, and sends them as the next batch. An idle
 * batcher sends an item at the end of the same turn of the event loop, so at low load a batch is one
 * item and nothing waits; under load a batch has all items that arrived during one flight.
 */
export function openBatcher<In, Out>(options: BatcherOptions<In, Out>): Batcher<In, Out> {
  const { queueMax, waitMsMax = Number.POSITIVE_INFINITY } = options;
  const { now = () => performance.now() } = options;
  const queue: Waiting<In, Out>[] = [];
  let flights = 0;
  let scheduled = false;

  function launch(): void {
    scheduled = false;
    while (queue.length > 0 && flights < options.inFlightMax) {
      const batch = queue.splice(0, options.batchMax);
      flights += 1;
      void fly(batch);
    }
  }

  async function fly(batch: Waiting<In, Out>[]): Promise<void> {
    try {
      const answers = await options.run(batch.map((waiting) => waiting.item));
      if (answers.length !== batch.length) {
        throw new Error(`bug: ${batch.length} items, ${answers.length} answers`);
      }
      for (const [index, waiting] of batch.entries()) waiting.resolve(answers[index] as Out);
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    } finally {
      flights -= 1;
      launch();
    }
  }

  function add(item: In): Promise<Out> {
    const since = now();
    const oldest = queue[0]?.since ?? since;
    if (queue.length >= queueMax || since - oldest > waitMsMax) {
      return Promise.reject(new QueueFull());
    }
    return new Promise((resolve, reject) => {
      queue.push({ item, since, resolve, reject });
      if (!scheduled && flights < options.inFlightMax) {
        scheduled = true;
        setImmediate(launch);
      }
    });
  }

  return { add, waiting: () => queue.length, inFlight: () => flights };
}
