import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { conditionMs, testMs } from './test/support/patience.ts';
import { nodeFlags } from './test/support/program.ts';

/**
 * The tests of the inner loop, `npm run test:quick`: pure functions, and code that needs no more than
 * a Redis and simulated providers. They open no ledger and start no engine, which is what costs time.
 */
const quick = [
  'test/*.test.ts',
  'test/docs/links.test.ts',
  'test/{batching,config,domain,inventory,lua,simulators,support}/**/*.test.ts',
  'test/checkout/notifications.test.ts',
  'test/client/{buy,calls,types,watch}.test.ts',
  'test/http/auth/hmac.test.ts',
  'test/http/request/body-cache.test.ts',
  'test/http/server/extra-listeners.test.ts',
  'test/ledger/database/pglite-template.test.ts',
  'test/loadtest/{auditor-charges,bench,report,report-terminal,workload}.test.ts',
  'test/payments/{alipay,stripe,wechat-pay}*.test.ts',
];

/** The longest files, which start first so that none of them is left to run alone at the end. */
const longest = [
  'test/settlement/settle/crash.test.ts',
  'test/fault/',
  'test/loadtest/spike.test.ts',
  'test/setup/',
  'test/flow/',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.findIndex((part) => moduleId.includes(part));
      return at === -1 ? longest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    execArgv: nodeFlags,
    testTimeout: testMs,
    hookTimeout: testMs,
    // A test that hangs or leaves something open is a failure to see, not one to wait for.
    teardownTimeout: 10_000,
    expect: { poll: { timeout: conditionMs } },
    sequence: { sequencer: LongestFirst },
    // Much of a test is waiting for holds and processes: more files at a time than two cores.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: {
          name: 'quick',
          include: quick,
          // They leave nothing behind, so a worker runs many of them: 40 % less processor time.
          isolate: false,
          globalSetup: ['test/support/shared-redis.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: quick,
          globalSetup: ['test/support/shared-redis.ts', 'test/support/shared-ledger.ts'],
        },
      },
    ],
  },
});
