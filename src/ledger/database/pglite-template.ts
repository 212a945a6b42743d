import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where templates are kept: beside the installed packages, so a new install starts without any. */
export const templateCache = join(import.meta.dirname, '../../../node_modules/.cache/flashdrop');

/**
 * Fills an empty folder with a copy of a template database, which is made once per version of
 * PGlite: making a database takes six seconds of a core or more, copying one a tenth of a second.
 * Where the template cannot be kept (a read-only installation) or the copy cannot replace the folder
 * (a mount), nothing happens and PGlite makes its own database.
 * @param options.make creates a database in an empty folder and closes it
 */
export async function seedPglite(
  folder: string,
  options: { make(folder: string): Promise<void>; cache?: string | undefined },
): Promise<void> {
  const { make, cache = templateCache } = options;
  if (readdirSync(folder).length > 0) return;
  const template = join(cache, `pglite-${version()}`);
  if (!existsSync(template) && !(await makeTemplate(template, make))) return;
  // Copied beside the folder and then renamed: half a copy, after a crash, would pass for a ledger.
  const draft = `${folder}.draft`;
  try {
    rmSync(draft, { recursive: true, force: true });
    cpSync(template, draft, { recursive: true });
    renameSync(draft, folder);
  } catch {
    // The folder is a mount, the template belongs to another user, or the disk is full.
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Makes the template under another name and renames it; false when it cannot be kept. */
async function makeTemplate(
  template: string,
  make: (folder: string) => Promise<void>,
): Promise<boolean> {
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
    // Another process made it first (a folder that is not empty is never replaced), or the disk is full.
    rmSync(draft, { recursive: true, force: true });
  }
  return existsSync(template);
}

function version(): string {
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  const manifest: { version: string } = JSON.parse(
    readFileSync(join(dirname(main), '../package.json'), 'utf8'),
  );
  return manifest.version;
}
