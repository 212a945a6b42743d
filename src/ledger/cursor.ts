/** A place in a list ordered by time (ms since the epoch) and then id. */
export type Place = { at: number; id: string };

/** A page of a list; `next` is the cursor of the page after it, absent on the last one. */
export type Page<T> = { rows: T[]; next?: string };

/** The cursor of the page after `place`: what the caller sends to get it. */
export function encodeCursor(place: Place): string {
  return Buffer.from(`${place.at}.${place.id}`).toString('base64url');
}

/** The place that a cursor encodes; undefined when it is not one of ours. */
export function decodeCursor(text: string): Place | undefined {
  const match = /^(\d{1,15})\.([\w-]{1,100})$/.exec(Buffer.from(text, 'base64url').toString());
  return match?.[2] === undefined ? undefined : { at: Number(match[1]), id: match[2] };
}

/** Makes a page of `limit` rows from the rows of a query with `limit + 1`. */
export function pageOf<T>(rows: T[], limit: number, placeOf: (row: T) => Place): Page<T> {
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { rows };
  return { rows: rows.slice(0, limit), next: encodeCursor(placeOf(last)) };
}
