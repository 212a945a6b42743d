/** The check of one promise on one reading. */
export type Check = {
  promise: number;
  title: string;
  figures: Record<string, number>;
  /** Differences that lag may explain: they count only when a later reading has them too. */
  findings: string[];
  /** Breaches that lag cannot explain: they count at once. */
  lasting: string[];
};

/**
 * Whose accounts an audit tells of, when balances differ from their transfers: those of the drop's
 * merchant alone, or, for the operator, those of all merchants and buyers.
 */
export type AuditScope = 'merchant' | 'operator';
