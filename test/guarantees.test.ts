import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url);
const page = readFileSync(new URL('docs/guarantees.md', root), 'utf8');

/** Each `file`: "title" the page names, in its own words. */
const cited = [...page.matchAll(/`(test\/[\w/.-]+)`: "([^"]+)"/g)].map(([, file, title]) => ({
  file: file as string,
  title: title as string,
}));

test('every promise has its row', () => {
  const rows = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));
  expect(rows).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

test.for(cited)('$file still proves: $title', ({ file, title }) => {
  expect(readFileSync(new URL(file, root), 'utf8')).toContain(title);
});
