import { type BuyerId, type DropId, orderId, orderRef } from '../domain/ids.ts';

/** What demo mode prints: enough to buy at once. */
export type Demo = {
  merchantKey: string;
  buyer: BuyerId;
  buyerToken: string;
  drop: DropId;
  sku: string;
  method: string;
};

/** The line for a finished step of the start. */
export function stepLine(what: string, ms: number): string {
  return `  ${what.padEnd(34)}${(ms / 1_000).toFixed(1).padStart(5)} s\n`;
}

/** The line for something that the start waits for. */
export function waitLine(text: string): string {
  return `  ${text}\n`;
}

/** The text that is printed once the engine serves. */
export function banner(engine: {
  address: string;
  opsAddress: string;
  processes: number;
  methods: readonly string[];
  /** Simulated providers and the URLs of their pages. */
  simulators: readonly { provider: string; url: string }[];
  demo: Demo | undefined;
  /** How long the start took, ms. */
  startMs: number;
}): string {
  const { address, opsAddress, processes, demo, methods, simulators, startMs } = engine;
  const lines = [
    `flashdrop serves at ${address} (started in ${(startMs / 1_000).toFixed(1)} s)`,
    `  docs          ${address}/docs`,
    `  metrics       ${opsAddress}/metrics`,
  ];
  if (processes > 1) lines.push(`  processes     ${processes} on this port, and one that settles`);
  lines.push(`  pay with      ${methods.join(', ')}`);
  if (simulators.length > 0) {
    const simulated = simulators.map(({ provider, url }) => `${provider} ${url}`);
    lines.push(`  simulated     ${simulated.join(', ')}`);
  }
  if (demo) {
    lines.push(
      `  demo drop     ${address}/v1/drops/${demo.drop}`,
      `  merchant key  ${demo.merchantKey}`,
      `  buyer token   ${demo.buyerToken}`,
      '',
      ...firstBuy(address, demo),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Commands that buy a unit and read its order. They work as pasted: each start has a new key. */
function firstBuy(address: string, { drop, sku, method, buyer, buyerToken }: Demo): string[] {
  const key = `buy-${Date.now().toString(36)}`;
  const body = JSON.stringify({ sku, quantity: 1, payment: { method } });
  const token = `-H 'authorization: Bearer ${buyerToken}'`;
  const headers = `-H 'content-type: application/json' -H 'idempotency-key: ${key}'`;
  // An order's id is computed from drop, buyer and key, so it is known before the Buy.
  const order = orderId(orderRef(drop, buyer, key, 1));
  return [
    'Buy a unit:',
    `curl -i ${address}/v1/drops/${drop}/orders ${token} ${headers} -d '${body}'`,
    '',
    'Then look at its order:',
    `curl ${address}/v1/orders/${order} ${token}`,
  ];
}
