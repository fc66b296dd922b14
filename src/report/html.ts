/** Markup, as opposed to text: `html` takes it as it is and escapes everything else. */
export class Html {
  readonly markup: string;

  /** Of markup that is known to be well formed; texts become markup by `html`. */
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What may stand inside markup; undefined and false leave nothing. */
export type Part = Html | string | number | undefined | false | readonly Part[];

/** A template whose parts are escaped, so that any text can stand in an element or in a quoted attribute. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(strings.reduce((markup, string, i) => markup + markupOf(parts[i - 1]!) + string));
}

function markupOf(part: Part): string {
  if (part instanceof Html) return part.markup;
  if (typeof part === 'object') return part.map(markupOf).join('');
  return part === undefined || part === false ? '' : escaped(String(part));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character]!);
