/** A place in a list ordered by time and then id. */
export type Place = { at: number; id: string };

/** A page of a list; `next` is the cursor of the page after it, absent on the last one. */
export type Page<T> = { rows: T[]; next?: string };

/** The text a caller hands back for the page after `place`. */
export function encodeCursor(place: Place): string {
  return Buffer.from(`${place.at}.${place.id}`).toString('base64url');
}

/** The place a cursor stands for, or undefined when it is not one of ours. */
export function decodeCursor(text: string): Place | undefined {
  const match = /^(\d{1,15})\.([\w-]{1,100})$/.exec(Buffer.from(text, 'base64url').toString());
  return match ? { at: Number(match[1]), id: match[2] as string } : undefined;
}

/** Makes a page of `limit` rows from a query that asked for one row more. */
export function pageOf<T>(rows: T[], limit: number, placeOf: (row: T) => Place): Page<T> {
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { rows };
  return { rows: rows.slice(0, limit), next: encodeCursor(placeOf(last)) };
}
