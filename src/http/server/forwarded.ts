import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import type { Log } from '../../log.ts';
import { clientAddress } from '../request/client-address.ts';

/** Anybody can send the header, also where there is no proxy. */
const warnEveryMs = 600_000;
/** Which address counts as the caller's costs as much to find out as many a request: one is looked at. */
const lookEveryMs = 1_000;

/**
 * Warns when X-Forwarded-For comes from an address that no setting names: behind a proxy that is not
 * trusted all buyers count as one address, and share its budgets. Call it before the routes are added.
 */
export function warnOfForwarded(
  app: FastifyInstance,
  options: { log: Pick<Log, 'warn'>; clock: Clock; trustedProxies?: string[] | undefined },
): void {
  const { log, clock, trustedProxies = [] } = options;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let restMs = lookEveryMs;

  function look(request: FastifyRequest): void {
    const at = clock.now();
    if (Math.abs(at - lookedAt) < restMs) return;
    lookedAt = at;
    // A trusted proxy's own address is never taken for the caller's.
    const isBelieved = request.ip !== request.socket.remoteAddress;
    restMs = isBelieved ? lookEveryMs : warnEveryMs;
    if (isBelieved) return;
    const from = clientAddress(request) ?? 'an unknown address';
    const setting = [...trustedProxies, from].join(',');
    log.warn(
      `X-Forwarded-For from ${from} is not believed, so all who come through it count as one address; if it is your proxy, set FLASHDROP_TRUSTED_PROXIES=${setting}`,
    );
  }

  app.addHook('onRequest', (request, _reply, done) => {
    if (request.headers['x-forwarded-for'] !== undefined) look(request);
    done();
  });
}
