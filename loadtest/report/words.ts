// Formats of figures, for the terminal and the page.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

/** 50,000; a figure below 100 keeps three significant digits. */
export function count(value: number): string {
  return Math.abs(value) >= 100 || Number.isInteger(value)
    ? whole.format(value)
    : fine.format(value);
}

/** 0.4 ms, 38 ms, 4.2 s, 5 min 12 s. */
export function duration(ms: number): string {
  const size = Math.abs(ms);
  if (size < 10) return `${fine.format(Number(ms.toFixed(size < 1 ? 2 : 1)))} ms`;
  if (size < 1_000) return `${whole.format(ms)} ms`;
  if (size < 99_950) return `${(ms / 1_000).toFixed(size < 9_995 ? 2 : 1)} s`;
  const seconds = Math.round(size / 1_000);
  return `${ms < 0 ? '-' : ''}${whole.format(Math.floor(seconds / 60))} min ${seconds % 60} s`;
}

/** An instant relative to the opening: −10 s, 0 s, +4.2 s. */
export function sinceOpening(ms: number): string {
  const sign = ms < 0 ? '−' : '+';
  return ms === 0 ? '0 s' : `${sign}${duration(Math.abs(ms))}`;
}

export function bytes(value: number): string {
  const mebibytes = value / 1_048_576;
  return mebibytes >= 1_024
    ? `${fine.format(mebibytes / 1_024)} GiB`
    : `${fine.format(mebibytes)} MiB`;
}

export function share(part: number, of: number): string {
  if (of === 0) return '–';
  const percent = (part / of) * 100;
  if (part > 0 && percent < 0.05) return '< 0.1 %';
  // 99.97 % must not be printed as 100 %.
  return part < of && percent > 99.9
    ? `${(Math.floor(percent * 100) / 100).toFixed(2)} %`
    : `${percent.toFixed(1)} %`;
}

/** `1 breach`, `2 breaches`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Names such as `drop_not_open` and `unsureBuyers` as words. */
export function spoken(code: string): string {
  return code
    .replaceAll('_', ' ')
    .replace(/(?<=[a-z])[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}
