import { expect, test } from 'vitest';
import { openBodyCache } from '../../../src/http/request/body-cache.ts';
import { buyBody } from '../../../src/http/schemas/orders.ts';

const good = '{"sku":"phone","quantity":1,"payment":{"method":"wallet"}}';
const read = JSON.parse(good);

test('A cached body is the same frozen value each time it is read', () => {
  const bodies = openBodyCache(buyBody);
  const first = bodies.read(good) as { payment: { method: string } };
  expect(first).toEqual(read);
  expect(() => Object.assign(first.payment, { method: 'other' })).toThrow(TypeError);
  expect(bodies.read(good)).toBe(first);
  expect(bodies.read(` ${good}`)).toEqual(read);
});

test('An invalid body is refused each time, and the validator checks bodies that were never read', () => {
  const bodies = openBodyCache(buyBody);
  const wrong = good.replace('1', '0');
  for (let n = 0; n < 2; n += 1) expect(() => bodies.read(wrong)).toThrow('not valid');
  const validate = bodies.validatorCompiler();
  expect(validate(bodies.read(good))).toEqual({ value: read });
  for (const given of [undefined, null, {}, JSON.parse(wrong)]) {
    expect(validate(given)).toHaveProperty('error');
  }
});

test('The cache keeps a bounded number of texts and none that is long', () => {
  const bodies = openBodyCache(buyBody, { textsMax: 2, lengthMax: good.length + 2 });
  const first = bodies.read(good);
  const long = `${good}   `;
  expect(bodies.read(long)).not.toBe(bodies.read(long));
  bodies.read(`${good} `);
  expect(bodies.read(good)).toBe(first);
  bodies.read(` ${good}`);
  const anew = bodies.read(good);
  expect(anew).not.toBe(first);
  expect(anew).toEqual(first);
});
