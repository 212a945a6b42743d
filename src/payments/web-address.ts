/** Whether a text is a URL that a browser can be sent to: of a site, or of an app by its own scheme. */
export function isReturnAddress(text: string, lengthMax = 2_048): boolean {
  return text.length <= lengthMax && /^[a-z][a-z\d+.-]*:\/\/./i.test(text) && URL.canParse(text);
}

/** Whether a text is an http or https address, as long as a provider takes it. */
export function isWebAddress(text: string, lengthMax = 2_048): boolean {
  return text.length <= lengthMax && /^https?:$/.test(URL.parse(text)?.protocol ?? '');
}
