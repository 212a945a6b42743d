// Buys of distinct buyers with k6, at a rate that does not wait for answers: an open model.
//
//   npm run tokens -- --file tokens.ndjson --count 10000
//   k6 run -e URL=http://127.0.0.1:8080 -e DROP=drop_… -e SKU=… -e TOKENS=$PWD/tokens.ndjson \
//     -e RATE=500 -e SECONDS=20 loadtest/examples/buy.k6.js
//   npm run audit -- drop_…
//
// RATE times SECONDS must be at most the number of tokens: each buyer presses once. A relative TOKENS is
// looked up beside this file.

import { check } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const { URL = 'http://127.0.0.1:8080', DROP, SKU, TOKENS = 'tokens.ndjson' } = __ENV;
const rate = Number(__ENV.RATE || 500);
const seconds = Number(__ENV.SECONDS || 20);

// Read once, not once for each virtual user.
const buyers = new SharedArray('buyers', () => {
  const lines = open(TOKENS).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
});

if (!DROP || !SKU)
  throw new Error('set DROP to the id of an open drop and SKU to one of its items');
if (rate * seconds > buyers.length) {
  throw new Error(
    `${rate} a second for ${seconds} s are more Buys than the ${buyers.length} tokens`,
  );
}

// A refusal such as sold_out is an answer, not a failure of the request.
http.setResponseCallback(http.expectedStatuses(202, 409, 410));

const accepted = new Counter('buys_accepted');
const refused = new Counter('buys_refused');
const turnedAway = new Counter('buys_turned_away');

export const options = {
  scenarios: {
    opening: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: Math.min(rate, 1_000),
      maxVUs: Math.min(rate * 10, 10_000),
    },
  },
};

export default function buy() {
  // Counts from 0 over all virtual users, so no two of them press for the same buyer.
  const { buyer, token } = buyers[exec.scenario.iterationInTest];
  const body = JSON.stringify({ sku: SKU, quantity: 1, payment: { method: 'wallet' } });
  const answer = http.post(`${URL}/v1/drops/${DROP}/orders`, body, {
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': `k6-${buyer}`,
    },
    // One row in the summary, whatever the drop.
    tags: { name: 'Buy' },
  });
  if (answer.status === 202) accepted.add(1);
  else if (answer.status === 429 || answer.status >= 500 || answer.status === 0) turnedAway.add(1);
  else refused.add(1);
  check(answer, {
    'was decided': ({ status }) => status === 202 || (status >= 400 && status < 429),
  });
}
