import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/redis-for-all.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Much of a test is waiting for holds and processes: two files at a time, also on two cores.
    maxWorkers: 2,
    // A test that hangs or leaves something open is a failure to see, not one to wait for.
    teardownTimeout: 10_000,
  },
});
