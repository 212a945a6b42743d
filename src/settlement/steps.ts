import type { RelayStep } from './relay/relay.ts';
import type { RefundStep } from './settle/refund-calls.ts';
import type { SettleStep } from './settle/settle.ts';

/**
 * Called after each step between two stores, and awaited. Only tests pass it: they end the process
 * there, or let something else happen first.
 */
export type OnStep = (step: SettleStep | RefundStep | RelayStep) => void | Promise<void>;
