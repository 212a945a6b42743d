import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { Problem } from '../problems/problems.ts';
import { answerHeaders } from '../server/answer-headers.ts';

/** One open text/event-stream. */
export type Stream = {
  send(event: { name: string; id: string; data: string }): void;
  end(): void;
};

/** Whose stream it is: a buyer's, by `sub`, or of whoever has no credentials, by network. */
export type StreamOwner = { buyer: string } | { network: string };

export type Streams = {
  /**
   * Turns a reply into a stream. Undefined when its client has left already: nobody is to be answered.
   * @throws Problem streams_open when its owner has as many open as one may; overloaded when
   *   `streamsMax` are open or the process is stopping
   */
  open(
    reply: FastifyReply,
    owner: StreamOwner,
    onClose: (stream: Stream) => void,
  ): Stream | undefined;
  size(): number;
  /** Ends all streams, for a stop: clients reconnect by themselves, to another process. */
  close(): void;
};

const heartbeatMs = 10_000;
const fullRetryMs = 10_000;
/** A slow client with more unread bytes is disconnected; it reconnects and gets the latest state. */
const backlogBytesMax = 65_536;

/** A buyer follows few orders at a time, perhaps in several tabs. */
const perBuyerMax = 10;
/** Many people share a network. */
const perNetworkMin = 100;

/**
 * The live streams of this process. Those without credentials take up three quarters at most, one
 * network a quarter, so that there is always room for buyers who follow their orders.
 */
export function openStreams({ streamsMax }: { streamsMax: number }): Streams {
  const open = new Map<ServerResponse, Stream>();
  const counts = new Map<string, number>();
  const anybody = 'anybody';

  /** The names that a stream counts for, each with how many there may be. */
  function placesOf(owner: StreamOwner): [name: string, most: number][] {
    if ('buyer' in owner) return [[`buyer ${owner.buyer}`, perBuyerMax]];
    return [
      [`network ${owner.network}`, Math.max(perNetworkMin, Math.ceil(streamsMax / 4))],
      [anybody, Math.ceil((streamsMax * 3) / 4)],
    ];
  }

  function count(places: [name: string, most: number][], by: number): void {
    for (const [name] of places) {
      const next = (counts.get(name) ?? 0) + by;
      if (next > 0) counts.set(name, next);
      else counts.delete(name);
    }
  }
  let closed = false;
  let heartbeat: NodeJS.Timeout | undefined;

  function write(raw: ServerResponse, text: string): void {
    if (raw.writableLength > backlogBytesMax) raw.destroy();
    else raw.write(text);
  }

  function beat(): void {
    for (const raw of open.keys()) write(raw, ':\n\n');
  }

  return {
    size: () => open.size,
    open(reply, owner, onClose) {
      const { raw } = reply;
      // It has emitted `close` and will not again, so what is counted now would be counted for ever.
      if (raw.destroyed) {
        reply.hijack();
        return undefined;
      }
      const places = placesOf(owner);
      const full = places.find(([name, most]) => (counts.get(name) ?? 0) >= most);
      if (closed || open.size >= streamsMax || full?.[0] === anybody)
        throw new Problem('overloaded');
      if (full) throw new Problem('streams_open', { retryAfterMs: fullRetryMs });
      count(places, 1);
      const stream: Stream = {
        send: ({ name, id, data }) => write(raw, `id: ${id}\nevent: ${name}\ndata: ${data}\n\n`),
        end: () => raw.end(),
      };
      reply.hijack();
      raw.writeHead(200, {
        ...answerHeaders,
        'content-type': 'text/event-stream; charset=utf-8',
        'x-accel-buffering': 'no',
      });
      // Spreads reconnects after a stop, so that clients do not all return at once.
      raw.write(`retry: ${1_000 + Math.floor(Math.random() * 4_000)}\n\n`);
      open.set(raw, stream);
      heartbeat ??= setInterval(beat, heartbeatMs).unref();
      raw.on('close', () => {
        open.delete(raw);
        count(places, -1);
        if (open.size === 0) {
          clearInterval(heartbeat);
          heartbeat = undefined;
        }
        onClose(stream);
      });
      raw.on('error', () => raw.destroy());
      return stream;
    },
    close() {
      closed = true;
      for (const stream of open.values()) stream.end();
    },
  };
}
