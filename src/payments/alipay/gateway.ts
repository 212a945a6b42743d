import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { AlipayRequestError, AlipaySdk } from 'alipay-sdk';
import type { Clock } from '../../domain/clock.ts';
import { chinaTime } from './china-time.ts';

export type GatewayOptions = {
  appId: string;
  /** Ours, PEM of either kind. */
  privateKey: string;
  /** Alipay's, PEM. */
  alipayPublicKey: string;
  url: string;
  notifyUrl: string;
  timeoutMs: number;
  clock: Clock;
};

export type Fields = Record<string, unknown>;

/** An answer that Alipay has signed, or that there is none to rely on. */
export type Answer =
  | { kind: 'done'; fields: Fields }
  /** A rule of the business stands against it: Alipay's code of it, such as ACQ.TRADE_NOT_EXIST. */
  | { kind: 'refused'; code: string; fields: Fields }
  | { kind: 'unknown' };

/** Alipay does not know us by these settings: no question will get an answer. */
export class AlipaySettingsError extends Error {}

export type Gateway = ReturnType<typeof openGateway>;

/** Codes of the gateway that speak of the application and not of the payment. */
const settingsCodes = new Set(['20001', '40001', '40002', '40003', '40006']);
/** The work may have been done, or not: the code says that Alipay itself does not know. */
const vagueCodes = /SYSTEM_ERROR|UNKNOW|^aop\.|^isp\./i;

/** Alipay's gateway through the official SDK: signs what is asked, verifies what is answered. */
export function openGateway(options: GatewayOptions) {
  const { clock, notifyUrl, timeoutMs } = options;
  const sdk = new AlipaySdk({
    appId: options.appId,
    gateway: options.url,
    // The SDK takes a key's kind from a setting, not from the PEM, and trips over a line break at
    // its end: so it always gets the same kind, trimmed.
    privateKey: pem(createPrivateKey(options.privateKey), 'pkcs8'),
    keyType: 'PKCS8',
    alipayPublicKey: pem(createPublicKey(options.alipayPublicKey), 'spki'),
    signType: 'RSA2',
    // The names of the documents, in what comes back.
    camelcase: false,
    timeout: timeoutMs,
  });
  trustOnlyWhatIsSigned(sdk);
  // The SDK would take the time of the machine's zone.
  const timestamp = () => chinaTime(clock.now());

  async function ask(method: string, bizContent: Fields): Promise<Answer> {
    try {
      const asked = sdk.exec(
        method,
        { bizContent, timestamp: timestamp() },
        { validateSign: true },
      );
      return read(await within(timeoutMs, asked));
    } catch (error) {
      if (error instanceof AlipaySettingsError) throw error;
      // An answer that is not signed counts for nothing, except to say why nothing works.
      const unsigned = unsignedRefusal(error);
      if (unsigned) throw unsigned;
      return { kind: 'unknown' };
    }
  }

  return {
    ask,

    /** The address of the page where a browser pays. */
    pageUrl(method: string, bizContent: Fields, returnUrl?: string): string {
      const back = returnUrl ? { returnUrl } : {};
      const parameters = { bizContent, notifyUrl, timestamp: timestamp(), ...back };
      return sdk.pageExecute(method, 'GET', parameters);
    },

    /** What an app hands to Alipay's own SDK. */
    orderString(method: string, bizContent: Fields): string {
      return sdk.sdkExecute(method, { bizContent, notifyUrl, timestamp: timestamp() });
    },

    /** Whether Alipay signed these parameters, as decoded from the form. */
    isSigned(parameters: ReadonlyMap<string, string>): boolean {
      // Else the SDK would go by whatever algorithm the message names.
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
 * The SDK verifies the first node of the answer and uses the last of that name: a genuine answer
 * with a forged node behind it would pass. So what was signed must be what is read.
 */
function trustOnlyWhatIsSigned(sdk: AlipaySdk): void {
  const check = sdk.checkResponseSign.bind(sdk);
  sdk.checkResponseSign = (raw, node, signature, traceId) => {
    try {
      check(raw, node, signature, traceId);
      const signed: unknown = JSON.parse(sdk.getSignStr(raw, node));
      if (JSON.stringify(signed) === JSON.stringify((JSON.parse(raw) as Fields)[node])) return;
    } catch {
      // The SDK stumbles over a missing signature, and its message shows all that came.
    }
    throw new AlipayRequestError('the answer is not what Alipay signed', { responseDataRaw: raw });
  };
}

function pem(key: KeyObject, type: 'pkcs8' | 'spki'): string {
  return key.export({ type, format: 'pem' }).toString().trim();
}

function read(fields: Fields): Answer {
  const code = String(fields['code']);
  if (code === '10000') return { kind: 'done', fields };
  const detail = typeof fields['sub_code'] === 'string' ? fields['sub_code'] : '';
  if (settingsCodes.has(code)) throw settingsError(code, detail);
  if (code !== '40004' || detail === '' || vagueCodes.test(detail)) return { kind: 'unknown' };
  return { kind: 'refused', code: detail, fields };
}

function unsignedRefusal(error: unknown): AlipaySettingsError | undefined {
  const raw = (error as { responseDataRaw?: unknown }).responseDataRaw;
  if (typeof raw !== 'string') return undefined;
  try {
    const nodes: unknown[] = Object.values(JSON.parse(raw) as Fields);
    for (const node of nodes) {
      const { code, sub_code } = Object(node) as Fields;
      if (settingsCodes.has(String(code))) return settingsError(String(code), String(sub_code));
    }
  } catch {
    // Not JSON: a page of some proxy, say.
  }
  return undefined;
}

/** The SDK's own error would show what was sent and received; the log gets Alipay's word for it. */
function settingsError(code: string, detail: string): AlipaySettingsError {
  return new AlipaySettingsError(
    `Alipay refuses the application: ${code} ${detail.slice(0, 100)}. Check that ` +
      'FLASHDROP_ALIPAY_APP_ID and FLASHDROP_ALIPAY_PRIVATE_KEY belong together, that its public ' +
      'key is entered at Alipay, and that the product is signed up for',
  );
}

/** The SDK has a limit for the headers and one between two pieces of the body, none for it all. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
