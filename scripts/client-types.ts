import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { buildApp } from '../src/http/app.ts';
import type { AppDeps } from '../src/http/deps.ts';
import type { OpenApiDocument } from '../src/http/server/openapi.ts';
import { openMetrics } from '../src/metrics.ts';

// Writes client/src/api.ts, the types of the SDK, from the OpenAPI document of the routes that buyers
// and visitors use. Run it with `npm run client:types` when the API has changed.
//
// The generator needs the JavaScript API of TypeScript 5, which the TypeScript of this repository (7)
// no longer has. So it is not a dependency here: npm fetches the two versions named below when the
// types are written, and a hash of the document in the file tells whether they are up to date.

const generator = ['openapi-typescript@7.13.0', 'typescript@5.9.3'];
const tags = new Set(['Public', 'Buyers']);

const root = resolve(import.meta.dirname, '..');
export const typesFile = join(root, 'client/src/api.ts');

type Json = Record<string, unknown>;

/** What the SDK knows of the API: the routes of buyers and visitors and the schemas they lead to. */
export async function clientDocument(): Promise<string> {
  const app = await buildApp(depsOfNoEngine());
  const document: OpenApiDocument = (await app.inject('/openapi.json')).json();
  await app.close();
  const paths: Record<string, Json> = {};
  for (const [path, item] of Object.entries(document.paths)) {
    const kept = Object.entries(item).filter(([, operation]) => isOfClient(operation));
    if (kept.length > 0) paths[path] = Object.fromEntries(kept);
  }
  const schemas = reached(paths, document.components?.schemas ?? {});
  const { openapi, info } = document;
  return JSON.stringify({ openapi, info, paths, components: { schemas } });
}

/** The first line of the file of types: what it was made from. */
export function headOf(document: string): string {
  return `// Written by \`npm run client:types\` from the OpenAPI document ${hash('sha256', document)}`;
}

function isOfClient(operation: object): boolean {
  return 'tags' in operation && Array.isArray(operation.tags) && tags.has(operation.tags[0]);
}

/** The schemas that a part of a document refers to, and those that they refer to. */
function reached(part: unknown, schemas: Record<string, Json>): Record<string, Json> {
  const found = new Set<string>();
  const open: unknown[] = [part];
  for (const next of open) {
    for (const [, name = ''] of JSON.stringify(next).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (!found.has(name)) open.push(schemas[name] ?? {});
      found.add(name);
    }
  }
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => found.has(name)));
}

/** Routes are described without being called, so that nothing here is ever asked. */
function depsOfNoEngine(): AppDeps {
  const nothing: object = new Proxy(() => nothing, { get: () => nothing });
  const real = {
    log: pino({ level: 'silent' }),
    metrics: openMetrics(),
    tokens: { kind: 'secret', algorithm: 'HS256', secret: 'x'.repeat(32), issuer: 'x' },
    settings: { demo: false },
    operatorKey: undefined,
    usage: undefined,
  };
  return new Proxy(real, {
    get: (target, name) => (name in target ? Reflect.get(target, name) : nothing),
  }) as unknown as AppDeps;
}

function write(document: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-client-types-'));
  try {
    const input = join(folder, 'openapi.json');
    writeFileSync(input, document);
    const packages = generator.map((name) => `--package=${name}`);
    const made = spawnSync(
      'npm',
      ['exec', '--yes', ...packages, '--', 'openapi-typescript', input],
      { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    );
    if (made.status !== 0) throw new Error('openapi-typescript failed');
    writeFileSync(typesFile, `${headOf(document)}\n${made.stdout}`);
    spawnSync(join(root, 'node_modules/.bin/biome'), ['format', '--write', typesFile], {
      cwd: root,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) write(await clientDocument());
