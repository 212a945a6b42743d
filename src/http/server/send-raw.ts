import type { FastifyReply } from 'fastify';

/**
 * Answers with a text of ASCII letters, past Fastify's own sending: its hooks and serialisers have
 * nothing to add to an answer that is written whole, and cost a Buy more than writing it. `headers`
 * are names and values in turn, lower case; the length is added here.
 */
export function sendText(
  reply: FastifyReply,
  answer: { status: number; headers: string[]; text: string },
): void {
  const { status, headers, text } = answer;
  reply.hijack();
  reply.raw.writeHead(status, [...headers, 'content-length', String(text.length)]);
  // One letter, one byte: the length is right and the text is copied as it stands.
  reply.raw.end(text, 'latin1');
}
