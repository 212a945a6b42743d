import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import type { Log } from '../../log.ts';
import { throttleLog } from '../../payments/log-throttle.ts';
import { clientAddress } from '../request/client-address.ts';

/** Anybody can send the header, also where there is no proxy. */
const warnEveryMs = 600_000;

/**
 * Warns when X-Forwarded-For comes from an address that no setting names: behind a proxy that is not
 * trusted all buyers count as one address, and share its budgets. Call it before the routes are added.
 */
export function warnOfForwarded(
  app: FastifyInstance,
  options: { log: Pick<Log, 'warn'>; clock: Clock; trustedProxies?: string[] | undefined },
): void {
  const { log, clock, trustedProxies = [] } = options;
  const warn = throttleLog((message) => log.warn(message), clock, warnEveryMs);
  app.addHook('onRequest', (request, _reply, done) => {
    // A trusted proxy's own address is never taken for the caller's.
    if (
      request.headers['x-forwarded-for'] !== undefined &&
      request.ip === request.socket.remoteAddress
    ) {
      const from = clientAddress(request) ?? 'an unknown address';
      const setting = [...trustedProxies, from].join(',');
      warn(
        `X-Forwarded-For from ${from} is not believed, so all who come through it count as one address; if it is your proxy, set FLASHDROP_TRUSTED_PROXIES=${setting}`,
      );
    }
    done();
  });
}
