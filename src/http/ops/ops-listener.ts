import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  type Server as Sockets,
} from 'node:http';
import { StartError } from '../../start-error.ts';
import { type ProblemCode, problems, problemText, problemType } from '../problems/problems.ts';
import { answerHeaders } from '../server/answer-headers.ts';
import { areStoresReady, type Readiness } from './readiness.ts';

export type OpsListener = {
  /** Where it listens, such as http://127.0.0.1:9464. */
  address: string;
  stop(): Promise<void>;
};

/** What the operators' routes show. */
export type OpsPages = {
  /** The metrics in the Prometheus text format. */
  metrics(): Promise<string>;
  readiness(): Promise<Readiness>;
  /** Whether the engine is stopping. */
  isDraining(): boolean;
};

type Answer = { status: number; type: string; text: string };

const metricsType = 'text/plain; version=0.0.4; charset=utf-8';
const connectionsMax = 256;
const requestMsMax = 5_000;
/** Longer than the interval of any scraper, which keeps its connection. */
const keepAliveMs = 75_000;

/**
 * The operators' routes on a port of their own, which the public does not reach: /metrics, /readyz with
 * what is missing, /livez. Plain node:http, because the process that settles serves it and has no use
 * for the rest of http.
 * @throws StartError when the port cannot be listened on
 */
export async function openOpsListener(
  pages: OpsPages,
  { host, port }: { host: string; port: number },
): Promise<OpsListener> {
  const routes = new Map<string, () => Promise<Answer>>([
    ['/livez', async () => ({ status: 200, type: 'text/plain', text: 'live\n' })],
    ['/readyz', () => readyz(pages)],
    ['/metrics', async () => ({ status: 200, type: metricsType, text: await pages.metrics() })],
  ]);
  const server = createServer(
    {
      requestTimeout: requestMsMax,
      headersTimeout: requestMsMax,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      answer(routes, request).then(
        (found) => send(response, found),
        // A page that cannot be made is the engine's trouble: the next request tries anew.
        () => send(response, problem('unavailable')),
      );
    },
  );
  server.maxConnections = connectionsMax;
  server.listen({ host, port });
  await listening(server, { host, port });
  return {
    address: addressOf(server, host),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  routes: ReadonlyMap<string, () => Promise<Answer>>,
  { url = '', method }: IncomingMessage,
): Promise<Answer> {
  const [path = ''] = url.split('?', 1);
  const route = routes.get(path);
  if (!route) return problem('not_found');
  return method === 'GET' || method === 'HEAD' ? await route() : problem('method_not_allowed');
}

async function readyz({ readiness, isDraining }: OpsPages): Promise<Answer> {
  const stores = await readiness();
  const { redis, ledger } = stores;
  const draining = isDraining();
  const ready = areStoresReady(stores) && !draining;
  const text = JSON.stringify({
    ready,
    redis: redis.takesWrites,
    ledger: ledger.takesWrites,
    draining,
    // How old the last write is that succeeded: it grows while a store is busy.
    redisAgeMs: redis.ageMs ?? null,
    ledgerAgeMs: ledger.ageMs ?? null,
  });
  return { status: ready ? 200 : 503, type: 'application/json', text };
}

function problem(code: ProblemCode): Answer {
  return { status: problems[code].status, type: problemType, text: problemText(code) };
}

function send(response: ServerResponse, { status, type, text }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    ...answerHeaders,
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(text);
}

async function listening(
  server: Sockets,
  { host, port }: { host: string; port: number },
): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : String(cause);
    throw new StartError(
      `cannot listen on ${host}:${port} for the operators' routes (${code}): ` +
        'choose another FLASHDROP_OPS_PORT or FLASHDROP_OPS_HOST',
      { cause },
    );
  }
}

function addressOf(server: Sockets, host: string): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('bug: no TCP port');
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}
