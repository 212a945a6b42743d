import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { saleMs, startMs } from '../support/patience.ts';
import { type Program, startProgram } from '../support/program.ts';

const root = resolve(import.meta.dirname, '../..');

/** An `sh` block of a page, and the `text` block that shows what it prints; none: it prints nothing. */
type Step = { line: number; commands: string; shown: string };

let data: string;
let engine: Program;
/** What a page tells its reader to set from what the engine printed. */
let variables: Record<string, string>;

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'flashdrop test docs '));
  engine = startProgram('src/main.ts', {
    args: ['--data', data, '--port', '0', '--api-processes', '1'],
  });
  const died = engine.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  died.catch(() => {});
  const printed = (pattern: RegExp) =>
    eventually(() => pattern.exec(engine.printed().out)?.[1], { withinMs: startMs });
  const ready = Promise.all([
    printed(/serves at (http\S+)/),
    printed(/demo drop .*\/(drop_\w+)/),
    printed(/merchant key +(\S+)/),
  ]);
  const [FLASHDROP, DROP, KEY] = await Promise.race([ready, died]);
  variables = { FLASHDROP, DROP, KEY };
});

afterAll(async () => {
  engine?.kill('SIGTERM');
  await engine?.ended;
  if (data) rmSync(data, { recursive: true, force: true });
});

test('npm run audit and npm run reconcile run the scripts that stand in for them here', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['audit', 'reconcile']) {
    expect(scripts[name]).toMatch(new RegExp(`&& exec env node scripts/${name}\\.ts$`));
  }
});

test.for(['docs/merchants.md', 'docs/buyers.md'])(
  'the commands of %s print what the page shows',
  { timeout: saleMs },
  async (page) => {
    const steps = stepsOf(readFileSync(join(root, page), 'utf8'));
    expect(steps.length).toBeGreaterThan(5);
    const printed = await runInBash(steps.map(({ commands }) => commands));
    for (const [index, { line, shown }] of steps.entries()) {
      expect(printed[index], `${page}, the block at line ${line}`).toMatch(patternOf(shown));
    }
  },
);

function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  for (const { 1: language, 2: text = '', index } of markdown.matchAll(
    /^```(\w+)\n(.*?)^```$/gms,
  )) {
    const last = steps.at(-1);
    if (language === 'sh') {
      const line = markdown.slice(0, index).split('\n').length;
      steps.push({ line, commands: text, shown: '' });
    } else if (language === 'text' && last) last.shown = text;
  }
  return steps;
}

/** What a page shows, with `…` for anything: within a line, or any lines where it stands alone. */
function patternOf(shown: string): RegExp {
  const lines = shown.split('\n').map((line) => {
    if (line === '…') return '[^]*';
    return line.split('…').map(escaped).join('.*');
  });
  return new RegExp(`^${lines.join('\n')}$`);
}

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/**
 * Runs the blocks one after the other in one shell and gives what each printed. `npm run` is a function
 * there: npm's own would set the clone up first, beside the other tests that use it.
 */
async function runInBash(blocks: string[]): Promise<(string | undefined)[]> {
  const mark = '--- the end of a block ---';
  const script = [
    'npm() { local name=$3; shift 3; [ "$1" != -- ] || shift; node "scripts/$name.ts" "$@"; }',
    ...blocks.map((block) => `${block}\necho '${mark}'`),
  ].join('\n');
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter);
  const shell = spawn('bash', ['-e', '-o', 'pipefail', '-c', script], {
    cwd: root,
    env: { PATH: path, HOME: process.env['HOME'], FLASHDROP_DATA: data, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const code = await new Promise((done) => shell.once('close', done));
  expect({ code, err, out: code === 0 ? '' : out }).toEqual({ code: 0, err: '', out: '' });
  // Lines of CSV end with CR LF, as its RFC asks.
  return out.replaceAll('\r\n', '\n').split(`${mark}\n`);
}
