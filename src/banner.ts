/** What demo mode can tell whoever started it: enough to buy at once. */
export type Demo = {
  merchantKey: string;
  buyerToken: string;
  drop: string;
  sku: string;
  method: string;
};

/** What is printed once the engine serves. */
export function banner({ address, demo }: { address: string; demo: Demo | undefined }): string {
  const lines = [`flashdrop serves at ${address}`, `  docs          ${address}/docs`];
  if (demo) {
    lines.push(
      `  demo drop     ${address}/v1/drops/${demo.drop}`,
      `  merchant key  ${demo.merchantKey}`,
      `  buyer token   ${demo.buyerToken}`,
      '',
      'Buy a unit:',
      buyCommand(address, demo),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** One line that works as pasted: the key is fresh for each start, so that it is a new order. */
function buyCommand(address: string, { drop, sku, method, buyerToken }: Demo): string {
  const body = JSON.stringify({ sku, quantity: 1, payment: { method } });
  const headers = [
    `authorization: Bearer ${buyerToken}`,
    'content-type: application/json',
    `idempotency-key: buy-${Date.now().toString(36)}`,
  ];
  const flags = headers.map((header) => `-H '${header}'`).join(' ');
  return `curl -i ${address}/v1/drops/${drop}/orders ${flags} -d '${body}'`;
}
