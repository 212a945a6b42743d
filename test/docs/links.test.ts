import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const folders = ['.', 'client', 'docs', 'docs/decisions', 'loadtest/results', 'lua'];

const pages = folders.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, folder, name)),
);

test('the pages were found', () => {
  expect(pages.length).toBeGreaterThan(20);
});

test('every relative link in the documentation leads to a file, and every anchor to a heading', () => {
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((link) => !leadsSomewhere(page, link))
      .map((link) => `${relative(root, page)}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test('every page of the documentation is reached from the README', () => {
  const reached = new Set([join(root, 'README.md')]);
  for (const page of reached) {
    for (const link of linksOf(page)) {
      const target = resolve(dirname(page), link.replace(/#.*/, ''));
      if (pages.includes(target)) reached.add(target);
      // A link to a folder is a link to the pages in it.
      for (const one of pages) if (dirname(one) === target) reached.add(one);
    }
  }
  const missed = pages.filter((page) => !reached.has(page)).map((page) => relative(root, page));
  expect(missed).toEqual([]);
});

/** Links of a page to files of this repository, without those in code. */
function linksOf(page: string): string[] {
  const text = readFileSync(page, 'utf8')
    .replace(/^```.*?^```$/gms, '')
    .replace(/`[^`\n]*`/g, '');
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : resolve(dirname(page), path);
  if (!existsSync(target)) return false;
  if (anchor === undefined) return true;
  return statSync(target).isFile() && anchorsOf(target).includes(anchor);
}

/** The anchors that GitHub gives to headings, and those set by hand. */
function anchorsOf(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/ /g, '-'),
  );
  const set = [...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id);
  return [...headings, ...set];
}
