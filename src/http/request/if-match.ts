/** The revisions that an `If-Match` header names: any when it is absent or `*`. */
export type IfMatch = { revisions: number[] | undefined } | { reason: string };

const list = /^\s*(?:W\/)?"[\x21\x23-\x7e]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e]*")*\s*$/;

/**
 * Reads the header as RFC 9110 defines it: quoted tags in a list. Our tags are revisions, `"3"`; a weak
 * tag, and one that is not ours, matches nothing.
 */
export function readIfMatch(header: string | undefined): IfMatch {
  if (header === undefined || header.trim() === '*') return { revisions: undefined };
  if (!list.test(header)) return { reason: 'must be a quoted revision such as "3", or *' };
  const tags = header.split(',').map((tag) => /^"(\d{1,9})"$/.exec(tag.trim())?.[1]);
  return { revisions: tags.flatMap((tag) => (tag === undefined ? [] : [Number(tag)])) };
}
