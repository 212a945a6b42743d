import { hash } from 'node:crypto';
import { problems } from './problems.ts';

const style =
  'body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }';

/** What the page may load: its own style and nothing else. */
export const errorsPagePolicy = `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; frame-ancestors 'none'`;

/** The page that the `type` of a problem links to: the catalogue, for a browser. */
export const errorsPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>flashdrop: errors</title>
<style>${style}</style>
<h1>Errors</h1>
${Object.entries(problems)
  .map(
    ([code, { status, title, detail }]) =>
      `<h2 id="${code}"><code>${code}</code></h2>\n<p>${status}. ${escaped(title)}. ${escaped(detail)}</p>`,
  )
  .join('\n')}
</html>
`;

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
