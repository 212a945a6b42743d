import type { RelayStep } from './relay/relay.ts';
import type { RefundStep } from './settle/refunds.ts';
import type { SettleStep } from './settle/settle.ts';

/**
 * Told of each step between two stores as it is taken. Only tests listen: they end the process
 * there, or let something else happen first.
 */
export type OnStep = (step: SettleStep | RefundStep | RelayStep) => void | Promise<void>;
