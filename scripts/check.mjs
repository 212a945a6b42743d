// Everything that must hold before a change is kept: lint, types, tests. Runs them all even when
// one fails, and ends with one line that counts. Plain JavaScript: a fresh clone has only Node 20.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const counts = { passed: 0, failed: 0, skipped: 0 };

if (step('set-up', 'node', ['scripts/setup.mjs', 'test'])) {
  counts.passed -= 1; // Getting ready is no check of its own; failing at it is.
  step('lint and format', 'biome', ['ci', '--error-on-warnings', '.']);
  step('types', 'tsc', ['-p', '.', '--noEmit']);
  step('imports', 'node', ['scripts/imports.mjs']);
  runTests(process.argv.slice(2));
}
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exitCode = counts.failed > 0 ? 1 : 0;

/**
 * @param {string} name
 * @param {string} command
 * @param {string[]} args
 */
function step(name, command, args) {
  const ok = run(command, args);
  counts[ok ? 'passed' : 'failed'] += 1;
  if (!ok || name !== 'set-up') process.stdout.write(`check: ${name} ${ok ? 'ok' : 'FAILED'}\n`);
  return ok;
}

/** @param {string[]} extra */
function runTests(extra) {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-check-'));
  const file = join(folder, 'tests.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const ok = run('vitest', ['run', ...reporters, ...extra]);
    const failedBefore = counts.failed;
    countTests(JSON.parse(readFileSync(file, 'utf8')));
    // A file that does not load, or an error outside any test, fails the run without a failed test.
    if (!ok && counts.failed === failedBefore) counts.failed += 1;
  } catch (error) {
    process.stdout.write(`check: the tests left no result (${error})\n`);
    counts.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} result */
function countTests({ testResults }) {
  for (const { status, assertionResults } of testResults) {
    if (status === 'failed' && assertionResults.length === 0) counts.failed += 1;
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed += 1;
      else if (test.status === 'failed') counts.failed += 1;
      else counts.skipped += 1;
    }
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0;
}
