import {
  createDecipheriv,
  type KeyObject,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { promisify } from 'node:util';

const scheme = 'WECHATPAY2-SHA256-RSA2048';
const tagBytes = 16;
const toleranceMs = 300_000;
/**
 * How a signature begins that is wrong on purpose: WeChat Pay sends such answers and notifications to
 * test that they are refused (https://pay.weixin.qq.com/doc/v3/merchant/4016241880).
 */
const probePrefix = 'WECHATPAY/SIGNTEST/';

/** What our requests are signed with. */
export type Signer = { merchantId: string; serial: string; privateKey: KeyObject };

/** The Wechatpay-* headers of an answer or a notification, and the bytes of its body. */
export type Signed = {
  serial: string;
  timestamp: string;
  nonce: string;
  signature: string;
  body: Buffer;
};

/** A text that WeChat Pay encrypted under the merchant's APIv3 key. */
export type Encrypted = { ciphertext: string; nonce: string; associatedData: string };

const signOnPool = promisify(signBytes);

/** SHA-256 with RSA, in base64; on the thread pool, since it takes most of a millisecond. */
export async function sign(text: string, key: KeyObject): Promise<string> {
  return (await signOnPool('sha256', Buffer.from(text), key)).toString('base64');
}

/**
 * The Authorization header of a request.
 * @param request.path with its query
 * @param request.body '' where there is none
 * @param request.at ms since the epoch
 */
export async function authorization(
  signer: Signer,
  request: { method: string; path: string; body: string; at: number; nonce?: string },
): Promise<string> {
  const { method, path, body, at, nonce = newNonce() } = request;
  const timestamp = Math.floor(at / 1000);
  const signature = await sign(lines(method, path, timestamp, nonce, body), signer.privateKey);
  const fields = {
    mchid: signer.merchantId,
    nonce_str: nonce,
    signature,
    timestamp,
    serial_no: signer.serial,
  };
  const pairs = Object.entries(fields).map(([name, value]) => `${name}="${value}"`);
  return `${scheme} ${pairs.join(',')}`;
}

/** The parameters that a page inside WeChat passes to WeixinJSBridge or wx.requestPayment. */
export async function pageParameters(
  { appId, privateKey }: { appId: string; privateKey: KeyObject },
  { prepayId, at }: { prepayId: string; at: number },
): Promise<Record<string, string>> {
  const timeStamp = String(Math.floor(at / 1000));
  const nonceStr = newNonce();
  const prepay = `prepay_id=${prepayId}`;
  const paySign = await sign(lines(appId, timeStamp, nonceStr, prepay), privateKey);
  return { appId, timeStamp, nonceStr, package: prepay, signType: 'RSA', paySign };
}

/** The signature's headers with the body; undefined when one of them is missing. */
export function signedOf(
  header: (name: string) => string | null | undefined,
  body: Buffer,
): Signed | undefined {
  const serial = header('wechatpay-serial');
  const timestamp = header('wechatpay-timestamp');
  const nonce = header('wechatpay-nonce');
  const signature = header('wechatpay-signature');
  if (!serial || !timestamp || !nonce || !signature) return undefined;
  return { serial, timestamp, nonce, signature, body };
}

/** When it was signed, ms since the epoch; undefined when the header is no timestamp. */
export function signedAt({ timestamp }: Signed): number | undefined {
  return /^\d{1,12}$/.test(timestamp) ? Number(timestamp) * 1000 : undefined;
}

/** Whether it was signed within five minutes of `now` (ms): an old one may be a replay. */
export function isFresh(signed: Signed, now: number): boolean {
  const at = signedAt(signed);
  return at !== undefined && Math.abs(now - at) <= toleranceMs;
}

/** Whether the signature was made with this key over exactly these bytes. */
export function verifies(signed: Signed, key: KeyObject): boolean {
  const { timestamp, nonce, signature, body } = signed;
  if (signature.startsWith(probePrefix)) return false;
  const text = Buffer.concat([Buffer.from(`${timestamp}\n${nonce}\n`), body, Buffer.from('\n')]);
  return verifyBytes('sha256', text, key, Buffer.from(signature, 'base64'));
}

/**
 * Decrypts AEAD_AES_256_GCM.
 * @throws Error when it was encrypted under another key or was changed
 */
export function decrypt({ ciphertext, nonce, associatedData }: Encrypted, apiKey: string): string {
  const bytes = Buffer.from(ciphertext, 'base64');
  if (bytes.length < tagBytes) throw new Error('the ciphertext is shorter than its tag');
  const cipher = createDecipheriv('aes-256-gcm', apiKey, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(associatedData));
  cipher.setAuthTag(bytes.subarray(-tagBytes));
  return Buffer.concat([cipher.update(bytes.subarray(0, -tagBytes)), cipher.final()]).toString();
}

export function newNonce(): string {
  return randomBytes(16).toString('hex').toUpperCase();
}

function lines(...values: (string | number)[]): string {
  return values.map((value) => `${value}\n`).join('');
}
