import { request } from 'undici';
import { CommandError } from '../../scripts/command.ts';

/** What is bought: an item of a drop that is open. */
export type Target = {
  address: string;
  drop: string;
  title: string;
  sku: string;
  price: string;
  /** The wallet where the drop takes it. */
  method: string;
  /** The engine mints buyers and their money. */
  demo: boolean;
};

type Card = {
  title: string;
  state: string;
  startsAt: string;
  currency: string;
  items: { sku: string; title: string; unitAmount: number }[];
  paymentMethods: { method: string }[];
};

const answerMsMax = 5_000;

/**
 * Finds out whether a load can run, before anything is bought.
 * @throws CommandError with what is wrong and what to do
 */
export async function findTarget(
  address: string,
  { drop, sku }: { drop: string; sku: string | undefined },
): Promise<Target> {
  const ready = await ask(address, '/readyz');
  if (ready.status !== 200) {
    throw new CommandError(
      ready.status === 404
        ? `${address} has no /readyz: is it a flashdrop engine?`
        : `the engine at ${address} is not ready: /readyz answers ${ready.status}`,
    );
  }
  const found = await ask(address, `/v1/drops/${drop}`);
  if (found.status === 404) throw new CommandError(`the engine at ${address} has no drop ${drop}`);
  if (found.status !== 200) {
    throw new CommandError(`${address} answers ${found.status} when asked for ${drop}`);
  }
  const card = JSON.parse(found.text) as Card;
  if (card.state !== 'open') {
    const when = card.state === 'scheduled' ? `: it opens at ${card.startsAt}` : '';
    throw new CommandError(`${drop} is not open, it is ${card.state}${when}`);
  }
  const item = sku === undefined ? card.items[0] : card.items.find((one) => one.sku === sku);
  if (!item) {
    const skus = card.items.map((one) => one.sku).join(', ');
    throw new CommandError(`${drop} has no item "${sku}": it has ${skus}`);
  }
  const methods = card.paymentMethods.map(({ method }) => method);
  return {
    address,
    drop,
    title: card.title,
    sku: item.sku,
    price: `${item.unitAmount} ${card.currency} (minor units)`,
    method: methods.includes('wallet') ? 'wallet' : (methods[0] ?? 'wallet'),
    demo: (await ask(address, '/demo/statements', { body: { buyers: ['nobody'] } })).status !== 404,
  };
}

/**
 * Checks that the engine takes a token and the merchant's key.
 * @throws CommandError with the engine's reason
 */
export async function assertCredentials(
  { address, drop }: Target,
  { token, merchantKey }: { token: string; merchantKey: string },
): Promise<void> {
  const wallet = await ask(address, '/v1/wallet', { credential: token });
  if (wallet.status === 401) {
    throw new CommandError(`the engine at ${address} refuses the buyers' tokens: ${wallet.text}`);
  }
  const report = await ask(address, `/v1/drops/${drop}/report`, { credential: merchantKey });
  if (report.status !== 200) {
    throw new CommandError(
      `the audit needs an API key of the drop's merchant: ${address} answers ${report.status} to this one (--merchant-key, or FLASHDROP_API_KEY)`,
    );
  }
}

async function ask(
  address: string,
  path: string,
  { credential, body }: { credential?: string; body?: unknown } = {},
): Promise<{ status: number; text: string }> {
  const headers: Record<string, string> = {};
  if (credential !== undefined) headers['authorization'] = `Bearer ${credential}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    const answer = await request(`${address}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      signal: AbortSignal.timeout(answerMsMax),
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  } catch (error) {
    const { name, message } = error as Error;
    const reason = name === 'TimeoutError' ? `silent for ${answerMsMax / 1_000} s` : message;
    throw new CommandError(
      `no engine answers at ${address}: ${reason || 'connection refused'} (npm start starts one, --url names one)`,
    );
  }
}
