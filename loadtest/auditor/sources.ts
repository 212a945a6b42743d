/** What the auditor reads from the engine; it never uses figures of the workload. */
export type Sources = {
  /** The merchant's list of a drop's orders, as it comes. */
  orders(drop: string): AsyncIterable<SeenOrder>;
  report(drop: string): Promise<{
    items: (Units & { sku: string; lanes: Units[] })[];
  }>;
  audit(drop: string): Promise<AuditReport>;
  /** The wallet's own book. */
  movements(buyers: string[]): Promise<Movement[]>;
  /** What the books of other providers have for the drop; absent where only wallets pay. */
  charges?(drop: string): AsyncIterable<ProviderCharge>;
};

/** A payment in its provider's book. It names no order; `reference` is the engine's payment reference. */
export type ProviderCharge = {
  reference: string;
  amount: number;
  /** How often money was taken. */
  captures: number;
  refunds: { amount: number }[];
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

/** An order in the merchant's list. */
export type SeenOrder = {
  id: string;
  buyer: string;
  sku: string;
  state: string;
  quantity: number;
};
