import { expect, test } from 'vitest';
import { openReturnUrls } from '../../../src/http/request/return-urls.ts';

const { refuse } = openReturnUrls({
  origins: ['https://shop.example', 'http://127.0.0.1:8080'],
  schemes: ['shopapp'],
});

test.for([
  'https://shop.example',
  'https://shop.example/',
  'https://shop.example/orders/1?a=b#c',
  'https://shop.example/@somebody/://x',
  'http://127.0.0.1:8080/o/1',
  'shopapp://paid?order=1',
])('A buyer may be sent back to %s', (url) => {
  expect(refuse(url)).toBeUndefined();
});

test.for([
  '',
  'shop.example',
  '/orders',
  '//shop.example/',
  'https:/shop.example/',
  'https:shop.example/',
  'https:///shop.example/',
  'http://shop.example/',
  'https://shop.example:8443/',
  'https://shop.example.evil.test/',
  'https://shop.example@evil.test/',
  'https://shop.example:x@evil.test/',
  'https://ann@shop.example/',
  'https://evil.test/https://shop.example/',
  'https://evil.test#https://shop.example/',
  'https://shop.example\\@evil.test/',
  'https://shop.example\\.evil.test/',
  'https:\\\\shop.example/',
  'https://shop.example?@evil.test/',
  'https://shop.example#@evil.test/',
  'https://shop.example%2eevil.test/',
  'https://shop.example%00.evil.test/',
  'https://SHOP.example/',
  'HTTPS://shop.example/',
  'https://shop.example./',
  'https://ѕhop.example/',
  'https://shop。example/',
  'https://xn--hop-tge.example/',
  'https://shop.example/\n',
  'https://shop.example/\tx',
  ' https://shop.example/',
  'https://shop.example/\u202e',
  'https://shop.example/\0',
  'http://127.0.0.1/',
  'http://2130706433:8080/',
  'http://[::ffff:127.0.0.1]:8080/',
  'javascript:alert(1)',
  'javascript://shop.example/%0aalert(1)',
  'data:text/html,x',
  'shopapp:paid',
  'shopapp2://paid',
  'Shopapp://paid',
  'otherapp://paid',
  'intent://paid#Intent;scheme=shopapp;end',
])('A buyer is not sent back to %j', (url) => {
  expect(refuse(url)).toBeTypeOf('string');
});

test('Without a list of sites a buyer is sent back nowhere', () => {
  const none = openReturnUrls({ origins: [], schemes: [] });
  for (const url of ['https://shop.example/', '://', '/']) expect(none.refuse(url)).toBeDefined();
});
