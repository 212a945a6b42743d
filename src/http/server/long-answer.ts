import type { FastifyReply } from 'fastify';

/** How long a route that compares whole books may take to answer, ms. */
export const comparingMsMax = 15 * 60_000;

/** How long an export may be silent, ms: longer than the ledger may take for one part of it. */
export const exportMsMax = 60_000;

/** Lets a connection be silent for longer than others, ms, until its answer is sent. */
export function allowSilence(reply: FastifyReply, ms: number): void {
  reply.raw.setTimeout(ms, () => reply.raw.destroy());
}
