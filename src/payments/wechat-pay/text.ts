/**
 * Cuts a text to a size, never within a character.
 * @param sizeOf the size of one character, in the unit of `sizeMax`
 */
export function cut(text: string, sizeMax: number, sizeOf: (character: string) => number): string {
  let kept = '';
  let size = 0;
  for (const character of text.toWellFormed()) {
    size += sizeOf(character);
    if (size > sizeMax) break;
    kept += character;
  }
  return kept;
}
