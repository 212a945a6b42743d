import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { AlipayRequestError, AlipaySdk } from 'alipay-sdk';
import type { Clock } from '../../domain/clock.ts';
import { withDeadline } from '../../scheduling/deadline.ts';
import { type Fields, isFields, parseFields } from '../json.ts';
import { chinaTime } from './time.ts';

export type ClientOptions = {
  appId: string;
  /** The application's: PEM, PKCS#1 or PKCS#8. */
  privateKey: string;
  /** Alipay's, PEM. */
  alipayPublicKey: string;
  url: string;
  notifyUrl: string;
  timeoutMs: number;
  clock: Clock;
};

export type { Fields };

/** Alipay's signed answer, or none that can be relied on. */
export type Answer =
  | { kind: 'done'; fields: Fields }
  /** Refused by a business rule; `code` is Alipay's, such as ACQ.TRADE_NOT_EXIST. */
  | { kind: 'refused'; code: string; fields: Fields }
  | { kind: 'unknown' };

/** Alipay does not accept the application's settings, so no call will be answered. */
export class AlipaySettingsError extends Error {}

export type Client = ReturnType<typeof openClient>;

/** Codes that are about the application and not about the payment. */
const settingsCodes = new Set(['20001', '40001', '40002', '40003', '40006']);
/** Codes that leave open whether the work was done: Alipay itself does not know. */
const uncertainCodes = /SYSTEM_ERROR|UNKNOW|^aop\.|^isp\./i;

/** Alipay's gateway through the official SDK: signs requests and verifies answers. */
export function openClient(options: ClientOptions) {
  const { clock, notifyUrl, timeoutMs } = options;
  const sdk = new AlipaySdk({
    appId: options.appId,
    gateway: options.url,
    // The SDK takes the kind of a key from a setting, not from the PEM, and fails on a trailing line
    // break: so it always gets PKCS#8, trimmed.
    privateKey: pem(createPrivateKey(options.privateKey), 'pkcs8'),
    keyType: 'PKCS8',
    alipayPublicKey: pem(createPublicKey(options.alipayPublicKey), 'spki'),
    signType: 'RSA2',
    // Answers keep the field names of Alipay's documents.
    camelcase: false,
    timeout: timeoutMs,
  });
  trustOnlySignedNode(sdk);
  // The SDK would write the time in the machine's zone.
  const timestamp = () => chinaTime(clock.now());

  /** @throws AlipaySettingsError when Alipay refuses the application */
  async function call(method: string, bizContent: Fields): Promise<Answer> {
    try {
      const parameters = { bizContent, timestamp: timestamp() };
      const asked = sdk.exec(method, parameters, { validateSign: true });
      // The SDK's own time limits cover the headers and each gap in the body, not the whole call.
      const fields = await withDeadline(asked, timeoutMs);
      return fields ? answerIn(fields) : { kind: 'unknown' };
    } catch (error) {
      if (error instanceof AlipaySettingsError) throw error;
      // An unsigned answer counts for nothing, except to say why no call is answered.
      const refusal = unsignedRefusal(error);
      if (refusal) throw refusal;
      return { kind: 'unknown' };
    }
  }

  return {
    call,

    /** The address of the page where a browser pays. */
    pageUrl(method: string, bizContent: Fields, returnUrl?: string): string {
      // The SDK would sign an undefined address as the text `undefined`.
      const back = returnUrl ? { returnUrl } : {};
      const parameters = { bizContent, notifyUrl, timestamp: timestamp(), ...back };
      return sdk.pageExecute(method, 'GET', parameters);
    },

    /** The text that an app passes to Alipay's SDK. */
    orderString(method: string, bizContent: Fields): string {
      return sdk.sdkExecute(method, { bizContent, notifyUrl, timestamp: timestamp() });
    },

    /** Whether Alipay signed the parameters of a notification, given as decoded from its form. */
    isSigned(parameters: ReadonlyMap<string, string>): boolean {
      // The SDK would use whatever algorithm the notification names.
      if (parameters.get('sign_type') !== 'RSA2' || !parameters.get('sign')) return false;
      try {
        return sdk.checkNotifySignV2(Object.fromEntries(parameters));
      } catch {
        return false;
      }
    },
  };
}

/**
 * Makes the SDK read only what it has verified. It verifies the first node of a name in the answer and
 * reads the last one, so a genuine answer with a forged node behind it would pass.
 */
function trustOnlySignedNode(sdk: AlipaySdk): void {
  const check = sdk.checkResponseSign.bind(sdk);
  sdk.checkResponseSign = (raw, node, signature, traceId) => {
    try {
      check(raw, node, signature, traceId);
      const signed: unknown = JSON.parse(sdk.getSignStr(raw, node));
      if (JSON.stringify(signed) === JSON.stringify(parseFields(raw)?.[node])) return;
    } catch {
      // The SDK throws for a missing signature, with the whole answer in its message.
    }
    throw new AlipayRequestError('the answer is not what Alipay signed', { responseDataRaw: raw });
  };
}

function pem(key: KeyObject, type: 'pkcs8' | 'spki'): string {
  return key.export({ type, format: 'pem' }).toString().trim();
}

function answerIn(fields: Fields): Answer {
  const code = String(fields['code']);
  if (code === '10000') return { kind: 'done', fields };
  const detail = typeof fields['sub_code'] === 'string' ? fields['sub_code'] : '';
  if (settingsCodes.has(code)) throw settingsError(code, detail);
  if (code !== '40004' || detail === '' || uncertainCodes.test(detail)) return { kind: 'unknown' };
  return { kind: 'refused', code: detail, fields };
}

/** The refusal of the application in an answer that the SDK rejected for its signature. */
function unsignedRefusal(error: unknown): AlipaySettingsError | undefined {
  const raw = error instanceof AlipayRequestError ? error.responseDataRaw : undefined;
  for (const node of Object.values((raw && parseFields(raw)) || {}).filter(isFields)) {
    const code = String(node['code']);
    if (settingsCodes.has(code)) return settingsError(code, String(node['sub_code']));
  }
  return undefined;
}

/** Has Alipay's code only: the SDK's own error would put what was sent and received into the log. */
function settingsError(code: string, detail: string): AlipaySettingsError {
  return new AlipaySettingsError(
    `Alipay refuses the application: ${code} ${detail.slice(0, 100)}. Check that ` +
      'FLASHDROP_ALIPAY_APP_ID and FLASHDROP_ALIPAY_PRIVATE_KEY belong together, that its public ' +
      'key is entered at Alipay, and that the product is signed up for',
  );
}
