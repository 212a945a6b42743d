/**
 * Headers of every answer that does not set them itself. Answers are data: a browser must not guess
 * another type, run anything of them or show them in a frame, and keeps none of them. What may be
 * cached, such as a drop's card, says so.
 */
export const answerHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** The same for answers that are written without Fastify: names and values in turn. */
export const rawAnswerHeaders: readonly string[] = Object.entries(answerHeaders).flat();
