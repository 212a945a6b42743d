import { createSigner } from 'fast-jwt';
import { openWire } from '../../workload/wire.ts';
import type { BenchServer } from '../servers/server.ts';
import { benchBuyer } from '../support/drop.ts';
import type { BenchRedis } from '../support/redis.ts';

/** A sale's crowd: enough connections for many Buys to arrive within one call's time. */
export const connections = 256;
const timeoutMs = 20_000;
/** The share of Buys that may be shed in a turn: a disturbed machine does that to any server. */
const otherwise = 0.05;

export const tokenSecret = 'bench-secret-of-more-than-32-bytes!!';
const sign = createSigner({
  key: tokenSecret,
  algorithm: 'HS256',
  iss: 'bench',
  aud: 'flashdrop',
  expiresIn: 3_600_000,
});
const body = JSON.stringify({ sku: 'phone', quantity: 1, payment: { method: 'wallet' } });

/** A Buy written out whole, as the wire sends it. */
export function buyRequest(buy: { drop: string; token: string; key: string }): string {
  return (
    `POST /v1/drops/${buy.drop}/orders HTTP/1.1\r\nhost: 127.0.0.1\r\n` +
    `authorization: Bearer ${buy.token}\r\nidempotency-key: ${buy.key}\r\n` +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  );
}

/** Buys of as many buyers, numbered from `from`, spread over a server's drops. */
function buyRequests({ drops }: BenchServer, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, n) =>
    buyRequest({
      drop: drops[n % drops.length] as string,
      token: sign({ sub: benchBuyer(from + n) }),
      key: `key-${from + n}`,
    }),
  );
}

export type Pressed = { seconds: number; statuses: Record<string, number> };

/**
 * A closed loop: each connection sends its next request as soon as it has its answer. It uses the
 * client of the load processes, because a client that costs more than the server would be what is
 * measured (docs/decisions, 8).
 */
export async function press(port: number, requests: string[]): Promise<Pressed> {
  const wire = openWire({ host: '127.0.0.1', port, connectionsMax: connections, timeoutMs });
  const statuses: Record<string, number> = {};
  const { promise, resolve } = Promise.withResolvers<void>();
  let next = 0;
  let answered = 0;

  function send(): void {
    const request = requests[next];
    if (request === undefined) return;
    next += 1;
    wire.send(request, (answer) => {
      const status = answer?.status ?? 'none';
      statuses[status] = (statuses[status] ?? 0) + 1;
      answered += 1;
      if (answered === requests.length) resolve();
      else send();
    });
  }

  const started = performance.now();
  for (let n = 0; n < connections; n += 1) send();
  await promise;
  const seconds = (performance.now() - started) / 1_000;
  wire.close();
  return { seconds, statuses };
}

/** A server under load: the status it must answer, and the Redis behind it, if any. */
export type Side = {
  server: BenchServer;
  status: number;
  requests: number;
  redis?: BenchRedis;
};

/** One measured turn of a server: answers a second, and CPU time per answer of server and Redis. */
export type Turn = { rate: number; cpuMicros: number };

/**
 * Loads several servers in turns, so that other work of the machine affects all of them. First turns
 * are warm-up and do not count. Turns are short and many, so that the median ignores disturbed ones.
 */
export async function inTurns<Name extends string>(
  sides: Record<Name, Side>,
  turns: number,
): Promise<Record<Name, Turn>[]> {
  const taken: Record<Name, Turn>[] = [];
  const all = Object.entries(sides) as [Name, Side][];
  for (let turn = 0; turn <= turns; turn += 1) {
    const cold = turn === 0;
    const together = {} as Record<Name, Turn>;
    for (const [name, side] of all) together[name] = await takeTurn(side, turn, cold);
    if (!cold) taken.push(together);
  }
  return taken;
}

async function takeTurn(side: Side, turn: number, cold: boolean): Promise<Turn> {
  const { server, redis, requests, status } = side;
  const texts = buyRequests(server, turn * requests, requests);
  const used = async () => (await server.cpuMicros()) + ((await redis?.cpuMicros()) ?? 0);
  const before = await used();
  const { seconds, statuses } = await press(server.port, texts);
  const cpuMicros = ((await used()) - before) / requests;
  const meant = statuses[status] ?? 0;
  if (meant < (1 - otherwise) * requests && !cold) {
    throw new Error(`not all of ${requests} were answered ${status}: ${JSON.stringify(statuses)}`);
  }
  return { rate: meant / seconds, cpuMicros };
}
