import { describe, expect, test } from 'vitest';
import { isOutage } from '../../../src/http/problems/outage.ts';
import { ledgerErrorOf } from '../../../src/ledger/database/postgres-check.ts';
import { isPoolerWithoutServer } from '../../../src/ledger/database/postgres-errors.ts';

const answered = (code: string, message: string) => Object.assign(new Error(message), { code });

describe('A request that fails because PostgreSQL or its pooler cannot serve it now is told to come again', () => {
  test.for([
    answered('08P01', 'server conn crashed?'),
    answered('08P01', 'query_wait_timeout'),
    answered('08001', 'could not connect'),
    answered('08004', 'rejected'),
    answered('57014', 'canceling statement due to statement timeout'),
    answered('55P03', 'canceling statement due to lock timeout'),
    answered('25P03', 'terminating connection due to idle-in-transaction timeout'),
    new Error('Query read timeout'),
    new Error('Client has encountered a connection error and is not queryable'),
    new Error('Client was closed and is not queryable'),
  ])('%s', (error) => {
    expect(isOutage(error)).toBe(true);
  });

  test.for([answered('42601', 'syntax error'), new TypeError('x is not a function')])(
    'but not for a bug: %s',
    (error) => {
      expect(isOutage(error)).toBe(false);
    },
  );
});

test('A pooler that reaches no server is told from one that refuses the protocol', () => {
  for (const text of [
    'server login has been failing, cached error: connect failed (server_login_retry)',
    'pgbouncer cannot connect to server',
    'server conn crashed?',
  ]) {
    expect(isPoolerWithoutServer(answered('08P01', text)), text).toBe(true);
  }
  const refusal = ledgerErrorOf(answered('08P01', 'server conn crashed?'), 'postgres://x:1/y');
  expect(String(refusal)).toMatch(/its pooler reaches no server \(server conn crashed\?\): check/);
  expect(isPoolerWithoutServer(answered('08P01', 'unsupported startup parameter: x'))).toBe(false);
  expect(isPoolerWithoutServer(new Error('server conn crashed?'))).toBe(false);
});
