import type { TestProject } from 'vitest/node';
import { postgresMissing, startPostgres } from './postgres.ts';
import { makeTemplate } from './test-ledger.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The PostgreSQL server that all test files share, or why there is none. */
    postgres: { url: string } | { missing: string };
  }
}

/**
 * Starts one PostgreSQL server for the whole run, where each test file makes a database of its own,
 * and makes the embedded ledger that tests copy before two files need it at once.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [server] = await Promise.all([startServer(), makeTemplate()]);
  project.provide('postgres', server.provided);
  return server.stop;
}

async function startServer() {
  const given = process.env['FLASHDROP_TEST_POSTGRES_URL'];
  if (given) return { provided: { url: given }, stop: async () => {} };
  const missing = postgresMissing();
  if (missing !== undefined) return { provided: { missing }, stop: async () => {} };
  const { url, stop } = await startPostgres();
  return { provided: { url }, stop };
}
