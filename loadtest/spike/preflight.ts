import { request } from 'undici';

/** Why a run cannot go on, in one line. */
export class SpikeError extends Error {}

const answerMsMax = 5_000;

/**
 * Checks that an engine has all that a run needs, before the crowd is prepared.
 * @throws SpikeError with what is missing
 */
export async function assertUsable(engine: { address: string; merchantKey: string }) {
  const { address, merchantKey } = engine;
  const ask = async (path: string, options: { key?: string; body?: unknown } = {}) => {
    const { key, body } = options;
    const { statusCode, body: answer } = await request(`${address}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      signal: AbortSignal.timeout(answerMsMax),
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    await answer.dump();
    return statusCode;
  };

  const ready = await ask('/readyz').catch((error: Error) => {
    throw new SpikeError(`no engine answers at ${address}: ${reasonOf(error)}`);
  });
  if (ready === 404) throw new SpikeError(`${address} has no /readyz: is it a flashdrop engine?`);
  if (ready !== 200) {
    throw new SpikeError(`the engine at ${address} is not ready: /readyz answers ${ready}`);
  }
  if ((await ask('/demo/statements', { body: { buyers: ['nobody'] } })) === 404) {
    throw new SpikeError(
      `the engine at ${address} mints no buyers: start it in demo mode (FLASHDROP_DEMO=on)`,
    );
  }
  const known = await ask('/v1/drops?limit=1', { key: merchantKey });
  if (known === 401 || known === 403) {
    throw new SpikeError(
      `the engine at ${address} knows no merchant by this --merchant-key (it prints one when it starts)`,
    );
  }
  if (known !== 200)
    throw new SpikeError(`the engine at ${address} answers ${known} to a merchant`);
}

/** Node reports a refused connection to a name with several addresses as an AggregateError. */
function reasonOf(error: Error): string {
  const { errors } = error as { errors?: Error[] };
  if (error.name === 'TimeoutError') return `silent for ${answerMsMax / 1_000} s`;
  return (
    errors?.[0]?.message || error.message || (error as NodeJS.ErrnoException).code || 'unknown'
  );
}
