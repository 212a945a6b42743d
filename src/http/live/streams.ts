import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { answerHeaders } from '../server/answer-headers.ts';

/** One open text/event-stream. */
export type Stream = {
  send(event: { name: string; id: string; data: string }): void;
  end(): void;
};

export type Streams = {
  /** Turns a reply into a stream; undefined when `streamsMax` are open or the process is stopping. */
  open(reply: FastifyReply, onClose: (stream: Stream) => void): Stream | undefined;
  size(): number;
  /** Ends all streams, for a stop: clients reconnect by themselves, to another process. */
  close(): void;
};

const heartbeatMs = 10_000;
/** A slow client with more unread bytes is disconnected; it reconnects and gets the latest state. */
const backlogBytesMax = 65_536;

export function openStreams({ streamsMax }: { streamsMax: number }): Streams {
  const open = new Map<ServerResponse, Stream>();
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
    open(reply, onClose) {
      if (closed || open.size >= streamsMax) return undefined;
      const { raw } = reply;
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
