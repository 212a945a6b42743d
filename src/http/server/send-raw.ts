import type { FastifyReply } from 'fastify';

/**
 * Sends an ASCII text without Fastify's hooks and serialisers: they add nothing to an answer that is
 * already written, and cost a Buy more than writing it. `headers` are names and values in turn, in
 * lower case; content-length is added.
 */
export function sendText(
  reply: FastifyReply,
  answer: { status: number; headers: string[]; text: string },
): void {
  const { status, headers, text } = answer;
  reply.hijack();
  reply.raw.writeHead(status, [...headers, 'content-length', String(text.length)]);
  // ASCII: one byte for each character, so the length is right and the text is copied unchanged.
  reply.raw.end(text, 'latin1');
}
