import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ownCache = fileURLToPath(new URL('../../node_modules/.cache/flashdrop/', import.meta.url));

type Seeding = {
  /** Makes a database in an empty folder and closes it. */
  make(folder: string): Promise<void>;
  /** Where the one that is copied is kept. */
  cache?: string;
};

/**
 * Puts a fresh database into a folder that is empty, as a copy of one that is made once for this
 * version of PGlite: making one takes six seconds of a core and more, copying it a tenth of one. Does
 * nothing where the copy cannot be kept, such as beside a read-only program, or not be put in the
 * folder's place: PGlite then makes its own.
 */
export async function seedPglite(
  folder: string,
  { make, cache = ownCache }: Seeding,
): Promise<void> {
  if (readdirSync(folder).length > 0) return;
  const template = join(cache, `pglite-${version()}`);
  if (!existsSync(template) && !(await makeTemplate(template, make))) return;
  // Whole or not at all: a copy that a crash cut short would be taken for a ledger.
  const draft = `${folder}.draft`;
  try {
    rmSync(draft, { recursive: true, force: true });
    cpSync(template, draft, { recursive: true });
    renameSync(draft, folder);
  } catch {
    // A mount is not replaced, another user's template not read; or the disk is full.
    rmSync(draft, { recursive: true, force: true });
  }
}

/** False when it cannot be kept. Made beside its place and moved there whole, whoever else does too. */
async function makeTemplate(template: string, make: Seeding['make']): Promise<boolean> {
  let draft: string;
  try {
    mkdirSync(dirname(template), { recursive: true });
    draft = mkdtempSync(`${template}-draft-`);
  } catch {
    return false;
  }
  try {
    await make(draft);
    renameSync(draft, template);
  } catch {
    // Somebody else was faster, and a folder with something in it is never replaced; or the disk is full.
    rmSync(draft, { recursive: true, force: true });
  }
  return existsSync(template);
}

function version(): string {
  const require = createRequire(import.meta.url);
  const main = dirname(require.resolve('@electric-sql/pglite'));
  return (require(join(main, '../package.json')) as { version: string }).version;
}
