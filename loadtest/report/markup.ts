/** Markup that is inserted as it is; every other value is escaped. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | false | undefined | readonly Part[];

/** html`<b>${anything}</b>`: strings are escaped, also for quoted attributes; lists are joined. */
export function html(texts: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(texts.map((text, index) => text + render(parts[index])).join(''));
}

function render(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return escaped(String(part));
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: they have no place in a page, even escaped.
const unprintable = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

function escaped(text: string): string {
  return text
    .replace(unprintable, '\u{fffd}')
    .replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

/** A value for a script element: JSON in which nothing can end the element. */
export function json(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll('<', '\\u003c'));
}
