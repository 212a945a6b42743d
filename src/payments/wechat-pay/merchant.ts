import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../domain/clock.ts';
import type { Client } from './client.ts';

/** The merchant at WeChat Pay, and what speaks in their name. */
export type Merchant = {
  appId: string;
  merchantId: string;
  privateKey: KeyObject;
  notifyUrl: string;
  client: Client;
  clock: Clock;
  /** For people: what WeChat Pay refused, or failed to say. */
  warn(message: string): void;
};

/** The only currency of a merchant on the mainland. */
export const currency = 'CNY';

/** An instant as WeChat Pay writes it: RFC 3339 to the second, in Beijing's time. */
export function beijingTime(at: number): string {
  return `${new Date(at + beijingMs).toISOString().slice(0, 19)}+08:00`;
}

export const beijingMs = 8 * 3_600_000;

/** A text cut to a size, never within a character; `sizeOf` measures one. */
export function cut(text: string, most: number, sizeOf: (character: string) => number): string {
  let [kept, size] = ['', 0];
  for (const character of text.toWellFormed()) {
    size += sizeOf(character);
    if (size > most) break;
    kept += character;
  }
  return kept;
}
