import { openPacedBatcher } from '../../batching/paced-batcher.ts';
import { networkOf } from './addresses.ts';
import type { RateLimiter } from './rate-limiter.ts';

export type TokenChecks = ReturnType<typeof openTokenChecks>;

/** About a fifth of a core: checking a signature takes 0.1 to 0.15 ms. */
const paced = { batchMax: 16, queueMax: 1_000, pauseMs: 10 };

/**
 * Bounds what made-up tokens cost, in the place before their signatures are checked. A network from
 * which `failed` tokens came without end waits for its turns with the next ones, good or not; who is
 * elsewhere is checked at once.
 */
export function openTokenChecks(failures: Pick<RateLimiter, 'isSpent' | 'charge'>) {
  const turns = openPacedBatcher<undefined, undefined>({
    ...paced,
    run: async (batch) => batch.map(() => ({ status: 'fulfilled', value: undefined })),
  });
  return {
    /**
     * Undefined when a token from this address may be checked at once, else resolves at its turn.
     * @throws QueueFull when too many tokens wait, most of them from its network
     */
    turn(address: string): Promise<unknown> | undefined {
      const network = networkOf(address);
      return failures.isSpent(network) ? turns.add(undefined, network) : undefined;
    },
    /** Counts a token that was checked in vain. */
    failed(address: string): void {
      failures.charge(networkOf(address), 1);
    },
  };
}
