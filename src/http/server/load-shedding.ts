import type { IncomingMessage, ServerResponse } from 'node:http';
import { retryAfter, retryAfterSeconds } from '../problems/problems.ts';
import type { RouteTable } from './route-table.ts';
import { sendRawProblem } from './send-raw.ts';

export type Shedding = {
  /** Refuses a request while this process is behind; true when it has answered the request. */
  refuse(request: IncomingMessage, response: ServerResponse): boolean;
};

/**
 * Refuses Buys before they are routed, while this process is behind: when one turn of the event loop
 * has been taking requests for longer than `turnMsMax` (ms). Requests still to be read in that turn
 * have waited at least as long. Refusing the rest of them costs a fraction of a Buy each, so the turn
 * ends soon, and the next one starts with Buys that have hardly waited. Other requests are few and
 * are served.
 */
export function openShedding(options: {
  turnMsMax: number;
  routes: Pick<RouteTable, 'isShed'>;
  onShed(): void;
}): Shedding {
  const { turnMsMax, routes, onShed } = options;
  let turnStartedAt: number | undefined;
  const endTurn = () => {
    turnStartedAt = undefined;
  };

  /** True when this turn has taken too long already. It is measured from its first request. */
  function isBehind(): boolean {
    const now = performance.now();
    if (turnStartedAt === undefined) {
      turnStartedAt = now;
      setImmediate(endTurn);
    }
    return now - turnStartedAt > turnMsMax;
  }

  function answer(response: ServerResponse): void {
    const retryAfterMs = retryAfter('overloaded');
    const headers = ['retry-after', String(retryAfterSeconds(retryAfterMs))];
    sendRawProblem(response, { code: 'overloaded', members: { retryAfterMs } }, headers);
  }

  return {
    refuse(request, response) {
      const { method = '', url = '' } = request;
      if (!isBehind() || !routes.isShed(method, url)) return false;
      onShed();
      answer(response);
      return true;
    },
  };
}
