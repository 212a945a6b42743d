export const paymentPasswordPattern = /^[0-9]{6}$/;

/**
 * Whether a payment password is one that is guessed first: a run of digits up or down, also across 9 and
 * 0; one to three digits again and again; three pairs; the same from both ends; or a well-known one.
 */
export function isWeakPassword(password: string): boolean {
  const digits = [...password].map(Number);
  const steps = digits.slice(1).map((digit, index) => (digit - (digits[index] ?? 0) + 10) % 10);
  const [step = 0] = steps;
  const isRun = [0, 1, 9].includes(step) && steps.every((other) => other === step);
  return isRun || patterns.some((pattern) => pattern.test(password)) || wellKnown.has(password);
}

const patterns = [/^(\d{1,3})\1+$/, /^(\d)\1(\d)\2(\d)\3$/, /^(\d)(\d)(\d)\3\2\1$/];

/**
 * Six-digit passwords among the thousand commonest ones of two published lists that `patterns` does not
 * cover: Chinese-common-password-list-top-1000 and 10-million-password-list-top-1000 of SecLists
 * (https://github.com/danielmiessler/SecLists, Passwords/Common-Credentials, read in November 2026).
 */
const wellKnown = new Set(
  (
    '123654 100200 110110 147258 159357 456852 201314 159753 789456 584520 110120 123000 753951 ' +
    '456123 147852 111222 211314 131421 963852 951753 110119 134679 123789 987654 102030 010203 ' +
    '131420 666888 741852 314159 709394 251314 721521 321654 520530 135246 135790 111000 521125 ' +
    '852456 888999 007007 142536 147369 124578 654123 121314 159951 521314 520123 258369 000123 ' +
    '555666 123520 112358 000111 123457 564335 520025 369258 888666 222333 246810 258456 333666 ' +
    '198611 122333 666999 235689 321456 198612 789123 770880 198411 198511 168888 123465 198410 ' +
    '198512 369852 753159 555888 110112 131425 000001 999888 198412 456321 777888 123369 198610 ' +
    '123987 111112 200884 123521 198311 142857 521000 198312 198510 198211 123258 456258 888168 ' +
    '987456 159632 198712 963258 131415 198711 520521 332335 831213 199771 198212 635241 119110 ' +
    '962464 789654 123567 100000 363636 415263 200888 357159 258963 259758 520131 556688 198210 ' +
    '123458 198310 123147 778878 123888 198011 518888 794613 567890 123455 821010 841025 420420 ' +
    '315475 098765 200000 010101 521521 520520 168168'
  ).split(' '),
);
