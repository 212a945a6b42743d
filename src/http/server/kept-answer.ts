import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** An answer that never changes while the process runs: made once, sent as bytes. */
export type KeptAnswer = (request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** `make` is called at the first request. A client that has the bytes already gets 304. */
export function keptAnswer(type: string, make: () => string): KeptAnswer {
  let kept: { bytes: Buffer; etag: string } | undefined;

  function read() {
    const bytes = Buffer.from(make());
    return { bytes, etag: `"${hash('sha256', bytes, 'base64url').slice(0, 22)}"` };
  }

  return ({ headers }, reply) => {
    kept ??= read();
    reply.header('etag', kept.etag).header('cache-control', 'public, max-age=60');
    if (isCurrent(headers['if-none-match'], kept.etag)) return reply.code(304).send();
    return reply.type(type).send(kept.bytes);
  };
}

/** Whether an If-None-Match header names this ETag (RFC 9110: weak comparison). */
export function isCurrent(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const plain = etag.replace(/^W\//, '');
  return header.split(',').some((part) => part.trim().replace(/^W\//, '') === plain);
}
