export const paymentPasswordPattern = /^[0-9]{6}$/;

/**
 * Whether a payment password is one that is guessed first: one digit six times, or a run of digits up
 * or down, also across 9 and 0.
 */
export function isWeakPassword(password: string): boolean {
  const digits = [...password].map(Number);
  const steps = digits.slice(1).map((digit, index) => (digit - (digits[index] ?? 0) + 10) % 10);
  const [step = 0] = steps;
  return [0, 1, 9].includes(step) && steps.every((other) => other === step);
}
