export const paymentPasswordPattern = /^[0-9]{6}$/;

/**
 * Whether a payment password is among those that are guessed first: one digit six times, or digits
 * that go up or down by one, over 9 and 0 too.
 */
export function isWeakPassword(password: string): boolean {
  const digits = [...password].map(Number);
  const steps = digits.slice(1).map((digit, index) => {
    return (digit - (digits[index] as number) + 10) % 10;
  });
  const [step] = steps;
  return [0, 1, 9].includes(step as number) && steps.every((other) => other === step);
}
