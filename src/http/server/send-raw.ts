import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { type Problem, problems, problemText, problemType } from '../problems/problems.ts';
import { rawAnswerHeaders } from './answer-headers.ts';

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
  write(reply.raw, { status, headers, text });
}

/** Answers a request that is refused before Fastify has it. */
export function sendRawProblem(
  response: ServerResponse,
  { code, members }: Pick<Problem, 'code' | 'members'>,
  headers: string[] = [],
): void {
  write(response, {
    status: problems[code].status,
    headers: ['content-type', `${problemType}; charset=utf-8`, ...headers],
    text: problemText(code, members),
  });
}

function write(
  response: ServerResponse,
  { status, headers, text }: Parameters<typeof sendText>[1],
): void {
  const length = ['content-length', String(text.length)];
  response.writeHead(status, [...headers, ...rawAnswerHeaders, ...length]);
  // ASCII: one byte for each character, so the length is right and the text is copied unchanged.
  response.end(text, 'latin1');
}
