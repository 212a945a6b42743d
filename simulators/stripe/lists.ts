import type { Stripe } from 'stripe';
import { type Form, innerOf, textOf, wholeOf } from './form.ts';
import { invalid, missing } from './refusals.ts';

const limitDefault = 10;
const limitMax = 100;

/** A page of a list: newest first, within `created`, after the object named by `starting_after`. */
export function pageOf<T extends { id: string; created: number }>(
  all: readonly T[],
  form: Form,
  url: string,
): Stripe.ApiList<T> {
  const limit = wholeOf(form, 'limit') ?? limitDefault;
  if (limit < 1 || limit > limitMax) {
    throw invalid(`This value must be between 1 and ${limitMax}.`, { param: 'limit' });
  }
  const within = all.filter(({ created }) => isWithin(created, form)).toReversed();
  within.sort((one, other) => other.created - one.created);
  const after = textOf(form, 'starting_after');
  const last = after === undefined ? -1 : within.findIndex(({ id }) => id === after);
  if (after !== undefined && last < 0) throw missing('object', after, 'starting_after');
  const data = within.slice(last + 1, last + 1 + limit);
  return { object: 'list', data, has_more: last + 1 + limit < within.length, url };
}

function isWithin(created: number, form: Form): boolean {
  if (typeof form['created'] === 'string') return created === wholeOf(form, 'created');
  const range = innerOf(form, 'created');
  const bound = (name: string, otherwise: number) => wholeOf(range, name) ?? otherwise;
  return (
    created >= bound('gte', 0) &&
    created > bound('gt', -1) &&
    created <= bound('lte', Number.MAX_SAFE_INTEGER) &&
    created < bound('lt', Number.MAX_SAFE_INTEGER)
  );
}
