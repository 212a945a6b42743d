import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../domain/clock.ts';
import type { Client } from './client.ts';

/** The merchant at WeChat Pay, with what calls need. */
export type Merchant = {
  appId: string;
  merchantId: string;
  privateKey: KeyObject;
  /** Our address for WeChat Pay's notifications. */
  notifyUrl: string;
  client: Client;
  clock: Clock;
  /** Logs what WeChat Pay refused or failed to answer. */
  warn(message: string): void;
};
