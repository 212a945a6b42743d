export type ReturnUrls = {
  /** Why a buyer is not sent back to a URL; undefined when it is allowed. */
  refuse(text: string): string | undefined;
};

/**
 * Where a provider's page may send a buyer's browser back to. A URL is compared as a text with the
 * beginnings that are allowed, and nothing of it is decoded or put right first: whatever programs
 * disagree about (a user name, a backslash, letters in upper case or other scripts before the path) is
 * refused.
 */
export function openReturnUrls(allowed: {
  /** Such as https://shop.example. */
  origins: readonly string[];
  /** Of apps, without the colon. */
  schemes: readonly string[];
}): ReturnUrls {
  const starts = allowed.schemes.map((scheme) => `${scheme}://`);

  function isAllowed(text: string): boolean {
    if (starts.some((start) => text.startsWith(start))) return true;
    return allowed.origins.some((origin) => text === origin || text.startsWith(`${origin}/`));
  }

  return {
    refuse(text) {
      if (/[\p{C}\p{Z}\\]/u.test(text) || !URL.canParse(text)) {
        return 'must be a URL without blanks, backslashes and control characters';
      }
      return isAllowed(text) ? undefined : 'is of a site or an app that is not allowed here';
    },
  };
}
