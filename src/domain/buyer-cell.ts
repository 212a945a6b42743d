/**
 * Buyers in CSV. A spreadsheet runs a cell that begins with = + - or @ as a formula, so exports put an
 * apostrophe in front; imports take it off again. A buyer who is called so, apostrophe included, gets
 * one more, and so does one who is called like the header: what an export wrote imports as the same
 * buyers, and a header in the middle of a list is not taken for one.
 */
const guarded = /^'*(?:[=+\-@]|buyer$)/i;

export function guardBuyer(buyer: string): string {
  return guarded.test(buyer) ? `'${buyer}` : buyer;
}

export function unguardBuyer(cell: string): string {
  return cell.startsWith("'") && guarded.test(cell) ? cell.slice(1) : cell;
}
