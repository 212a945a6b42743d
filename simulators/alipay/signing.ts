import { createSign, createVerify, type KeyObject } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

/** The parameters of query and form together: the documentation allows either place. */
export function parametersOf(request: FastifyRequest): Map<string, string> {
  const query = request.url.includes('?') ? request.url.slice(request.url.indexOf('?') + 1) : '';
  const form = (request.body as Buffer).toString('utf8');
  return new Map([...new URLSearchParams(query), ...new URLSearchParams(form)]);
}

/** The text to sign: all parameters but the signature and empty ones, sorted, not encoded. */
export function signedText(parameters: Iterable<[string, string]>): string {
  const pairs = [...parameters].filter(([name, value]) => name !== 'sign' && value !== '');
  return pairs
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

export function signed(key: KeyObject, text: string): string {
  return createSign('RSA-SHA256').update(text, 'utf8').sign(key, 'base64');
}

export function isSignedBy(key: KeyObject, parameters: Map<string, string>): boolean {
  const text = signedText(parameters);
  const signature = parameters.get('sign') ?? '';
  return createVerify('RSA-SHA256').update(text, 'utf8').verify(key, signature, 'base64');
}
