import type { BuyerId } from '../domain/ids.ts';
import type { PasswordRefusal, WalletPasswords } from '../ledger/wallet/passwords.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';

type Passwords = Pick<WalletPasswords, 'check' | 'set' | 'state'>;

/** Counts comparisons of payment passwords, and logs each lock: somebody may be guessing. */
export function reportPasswords(
  passwords: Passwords,
  { metrics, log }: { metrics: Metrics | undefined; log: Log },
): Passwords {
  const outcomes = ['right', 'wrong', 'locked', 'busy'] as const;
  const checks = metrics?.counts({
    name: 'wallet_password_checks_total',
    help: 'Payment passwords that were compared or refused, by outcome',
    label: 'outcome',
    values: [...outcomes, 'lock'] as const,
  });

  function report(buyer: BuyerId, result: PasswordRefusal | { kind: string }): void {
    const outcome = outcomes.find((name) => name === result.kind);
    if (outcome) checks?.add(outcome);
    if (!('triesLeft' in result) || result.triesLeft > 0) return;
    checks?.add('lock');
    log.warn({ buyer }, 'payment password locked after five wrong tries in a row');
  }

  return {
    state: passwords.state,
    async check(buyer, password) {
      const result = await passwords.check(buyer, password);
      report(buyer, result);
      return result;
    },
    async set(wanted) {
      const result = await passwords.set(wanted);
      const kind = result.kind === 'done' && wanted.current !== undefined ? 'right' : result.kind;
      report(wanted.buyer, result.kind === 'done' ? { kind } : result);
      return result;
    },
  };
}
