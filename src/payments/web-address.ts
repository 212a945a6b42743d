/** Whether a text is an http or https address, as long as a provider takes it. */
export function isWebAddress(text: string, lengthMax = 2_048): boolean {
  return text.length <= lengthMax && /^https?:$/.test(URL.parse(text)?.protocol ?? '');
}
