import type { SeenOrder } from '../merchant.ts';

/** What the auditor asks the engine for; never what the workload believes of itself. */
export type Sources = {
  /** The merchant's list of a drop's orders, as it comes. */
  orders(drop: string): AsyncIterable<SeenOrder>;
  report(drop: string): Promise<{
    items: { available: number; held: number; sold: number; allotment: number; lanes: Units[] }[];
  }>;
  audit(drop: string): Promise<AuditReport>;
  /** The wallet's own book. */
  movements(buyers: string[]): Promise<Movement[]>;
};

/** Money that left a buyer's wallet (`capture`) or came back; `reference` is the payment's. */
export type Movement = {
  buyer: string;
  kind: 'capture' | 'refund';
  reference: string;
  amount: number;
};

type Units = { available: number; held: number; sold: number; allotment: number };

export type AuditReport = {
  clean: boolean;
  settled: boolean;
  checks: {
    promise: number;
    title: string;
    ok: boolean;
    figures: Record<string, number>;
    findings: string[];
  }[];
};
