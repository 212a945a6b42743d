import { type DropId, orderId, orderRef } from '../domain/ids.ts';

/** What demo mode can tell whoever started it: enough to buy at once. */
export type Demo = {
  merchantKey: string;
  buyer: string;
  buyerToken: string;
  drop: DropId;
  sku: string;
  method: string;
};

/** What is printed once the engine serves. */
export function banner(engine: {
  address: string;
  processes: number;
  methods: readonly string[];
  /** Providers that take no money, and where their pages are. */
  simulators: readonly { provider: string; url: string }[];
  demo: Demo | undefined;
}): string {
  const { address, processes, demo, methods, simulators } = engine;
  const lines = [`flashdrop serves at ${address}`, `  docs          ${address}/docs`];
  if (processes > 1) lines.push(`  processes     ${processes} on this port, and one that settles`);
  lines.push(`  pay with      ${methods.join(', ')}`);
  if (simulators.length > 0) {
    const told = simulators.map(({ provider, url }) => `${provider} ${url}`);
    lines.push(`  simulated     ${told.join(', ')}`);
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

/** A Buy, and the look at its order, that work as pasted: the key is fresh for each start. */
function firstBuy(address: string, { drop, sku, method, buyer, buyerToken }: Demo): string[] {
  const key = `buy-${Date.now().toString(36)}`;
  const body = JSON.stringify({ sku, quantity: 1, payment: { method } });
  const token = `-H 'authorization: Bearer ${buyerToken}'`;
  const headers = `-H 'content-type: application/json' -H 'idempotency-key: ${key}'`;
  // The id follows from drop, buyer and key, so it is known before anything was bought.
  const order = orderId(orderRef(drop, buyer, key, 1));
  return [
    'Buy a unit:',
    `curl -i ${address}/v1/drops/${drop}/orders ${token} ${headers} -d '${body}'`,
    '',
    'Then look at its order:',
    `curl ${address}/v1/orders/${order} ${token}`,
  ];
}
