import { createCipheriv, randomBytes, sign, verify } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from './certificate.ts';

// The wire format of WeChat Pay's API v3: pay.weixin.qq.com/docs/merchant/development/interface-rules.
// Request timestamps are checked by the real clock; the simulated clock only moves due dates.

const scheme = 'WECHATPAY2-SHA256-RSA2048';
const toleranceSeconds = 300;

/** A merchant's credentials at WeChat Pay. */
export type Agreement = {
  appId: string;
  merchantId: string;
  merchant: Identity;
  platform: Identity;
  /** The APIv3 key. */
  apiKey: string;
};

/** A refusal, with the HTTP status and error code of WeChat Pay's documentation. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

/** Throws unless the merchant signed this request, about now. */
export function verifyRequest(request: FastifyRequest, { merchantId, merchant }: Agreement): void {
  const header = request.headers.authorization ?? '';
  const [said, ...rest] = header.split(' ');
  const fields = new Map<string, string>();
  for (const match of rest.join(' ').matchAll(/(\w+)="([^"]*)"/g)) {
    fields.set(match[1] ?? '', match[2] ?? '');
  }
  const field = (name: string) => fields.get(name) ?? '';
  const timestamp = field('timestamp');
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  const head = [request.method, request.url, timestamp, field('nonce_str'), ''].join('\n');
  const signed = Buffer.concat([Buffer.from(head), request.body as Buffer, Buffer.from('\n')]);
  const signature = Buffer.from(field('signature'), 'base64');
  const isSigned =
    said === scheme &&
    /^\d{10}$/.test(timestamp) &&
    field('nonce_str') !== '' &&
    field('mchid') === merchantId &&
    field('serial_no') === merchant.serial &&
    verify('sha256', signed, merchant.publicKey, signature);
  if (!isSigned) throw new ApiError(401, 'SIGN_ERROR', 'The signature is wrong.');
  if (age > toleranceSeconds) throw new ApiError(401, 'SIGN_ERROR', 'The timestamp is too old.');
}

/** The headers that sign a body. */
export function signedHeaders(
  { serial, privateKey }: Identity,
  body: Buffer | string,
  at = Date.now(),
): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const nonce = randomBytes(16).toString('hex');
  const text = Buffer.concat([
    Buffer.from(`${timestamp}\n${nonce}\n`),
    Buffer.from(body),
    Buffer.from('\n'),
  ]);
  return {
    'wechatpay-serial': serial,
    'wechatpay-timestamp': timestamp,
    'wechatpay-nonce': nonce,
    'wechatpay-signature': sign('sha256', text, privateKey).toString('base64'),
    'wechatpay-signature-type': scheme,
  };
}

/** Answers with a signature; `content` undefined is an answer without a body. */
export function answer(
  reply: FastifyReply,
  agreement: Agreement,
  { status, content }: { status: number; content?: object | undefined },
): FastifyReply {
  const body = content === undefined ? '' : JSON.stringify(content);
  reply.code(status).headers(signedHeaders(agreement.platform, body));
  if (content !== undefined) reply.header('content-type', 'application/json; charset=utf-8');
  return reply.send(body);
}

/** A text encrypted with the APIv3 key (AES-256-GCM). */
export function seal(
  text: string,
  { apiKey, associatedData }: { apiKey: string; associatedData: string },
): { algorithm: string; ciphertext: string; nonce: string; associated_data: string } {
  const nonce = randomBytes(6).toString('hex');
  const cipher = createCipheriv('aes-256-gcm', apiKey, nonce, { authTagLength: 16 });
  cipher.setAAD(Buffer.from(associatedData));
  const sealed = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  return {
    algorithm: 'AEAD_AES_256_GCM',
    ciphertext: sealed.toString('base64'),
    nonce,
    associated_data: associatedData,
  };
}

/** RFC 3339 in Beijing's time. */
export function beijingTime(at: number): string {
  return `${new Date(at + 8 * 3_600_000).toISOString().slice(0, 19)}+08:00`;
}
