import { invalid } from './refusals.ts';

/** Form parameters with nested names decoded; lists become objects with indices as names. */
export type Form = { [name: string]: string | Form };

const keyForm = /^[^[\]]+(\[[^[\]]*\])*$/;

/** `a[b][0]=c` becomes `{a: {b: {0: 'c'}}}`; `a[]=c` takes the next index. */
export function readForm(text: string): Form {
  const form: Form = Object.create(null);
  for (const [key, value] of new URLSearchParams(text)) {
    if (!keyForm.test(key)) throw invalid(`Invalid parameter name: ${key}`, { param: key });
    const names = key.split(/[[\]]+/).filter((name, at, all) => name !== '' || at < all.length - 1);
    put(form, key.endsWith('[]') ? [...names, ''] : names, value, key);
  }
  return form;
}

function put(form: Form, names: readonly string[], value: string, key: string): void {
  const [first, ...rest] = names;
  const name = first || String(Object.keys(form).length);
  if (rest.length === 0) {
    form[name] = value;
    return;
  }
  form[name] ??= Object.create(null) as Form;
  const inner = form[name];
  if (typeof inner === 'string') throw invalid(`Invalid object: ${key}`, { param: key });
  put(inner, rest, value, key);
}

/** A canonical text: the same parameters give the same text in any order. */
export function canonical(value: string | Form): string {
  if (typeof value === 'string') return JSON.stringify(value);
  const parts = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? '')}`);
  return `{${parts.join()}}`;
}

export function refuseUnknown(form: Form, known: readonly string[]): void {
  const unknown = Object.keys(form).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw invalid(`Received unknown parameter: ${unknown}`, {
    code: 'parameter_unknown',
    param: unknown,
  });
}

export function textOf(form: Form, name: string): string | undefined {
  const value = form[name];
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`Invalid string: ${name}`, { param: name });
  return value;
}

export function neededText(form: Form, name: string, param = name): string {
  const value = textOf(form, name);
  if (value !== undefined) return value;
  throw invalid(`Missing required param: ${param}.`, { code: 'parameter_missing', param });
}

export function wholeOf(form: Form, name: string, param = name): number | undefined {
  const value = textOf(form, name);
  if (value === undefined) return undefined;
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw invalid(`Invalid integer: ${value}`, { code: 'parameter_invalid_integer', param });
}

export function innerOf(form: Form, name: string): Form {
  const value = form[name] ?? {};
  if (typeof value === 'string') throw invalid('Invalid object', { param: name });
  return value;
}

/** An object of strings, such as metadata. */
export function textsOf(form: Form, name: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(innerOf(form, name)).map(([key, value]) => {
      if (typeof value !== 'string') throw invalid('Invalid string', { param: `${name}[${key}]` });
      return [key, value];
    }),
  );
}
