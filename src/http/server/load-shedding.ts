import type { IncomingMessage, ServerResponse } from 'node:http';
import { problems, problemText, problemType, retryAfterSeconds } from '../problems/problems.ts';

export type Shedding = {
  /** Answers a Buy that this process has no time for, and says whether it did. */
  refuse(request: IncomingMessage, response: ServerResponse): boolean;
};

/**
 * Refuses Buys before they are routed, while this process is behind. It is when one turn of the event
 * loop has been taking requests for longer than `turnMsMax`: whatever is still to be read in that turn
 * has waited at least as long. The rest of the turn is refused, which costs a fraction of a Buy, so the
 * turn ends soon, and the next begins with Buys that have hardly waited. Other requests are few and
 * go through.
 */
export function openShedding(options: { turnMsMax: number; onShed(): void }): Shedding {
  const { turnMsMax, onShed } = options;
  const texts: (string | undefined)[] = [];
  let turnSince: number | undefined;
  const endTurn = () => {
    turnSince = undefined;
  };

  /** Whether this turn has taken too long already. Its clock starts with its first request. */
  function isBehind(): boolean {
    const now = performance.now();
    if (turnSince === undefined) {
      turnSince = now;
      setImmediate(endTurn);
    }
    return now - turnSince > turnMsMax;
  }

  function answer(response: ServerResponse): void {
    const seconds = retryAfterSeconds('overloaded');
    texts[seconds] ??= problemText('overloaded', { retryAfterMs: seconds * 1_000 });
    const text = texts[seconds];
    response.writeHead(problems.overloaded.status, [
      ...['content-type', `${problemType}; charset=utf-8`],
      ...['content-length', String(text.length)], // Its letters are ASCII.
      ...['retry-after', String(seconds)],
    ]);
    response.end(text);
  }

  return {
    refuse(request, response) {
      const late = isBehind();
      if (!late || request.method !== 'POST' || !isBuy(request.url ?? '')) return false;
      onShed();
      answer(response);
      return true;
    },
  };
}

function isBuy(url: string): boolean {
  return url.endsWith('/orders') && url.startsWith('/v1/drops/');
}
