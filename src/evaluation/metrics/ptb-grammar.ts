/**
 * The token grammar of the Stanford PTBTokenizer 3.4.1 (class PTBLexer), the version inside pycocoevalcap, as far as it
 * decides what the scorers see: periods and quotes that stand alone are dropped afterwards, so a rule that only says
 * where a sentence ends, or whether a quote opens or closes, is not here.
 */

/** One kind of token. Where the pattern has a group, the group is the token and the rest its right context. */
export interface TokenRule {
  readonly pattern: RegExp;
  /** The token as the tokenizer prints it; `''` prints nothing. */
  readonly write: (token: string) => string;
}

const { raw } = String;

/** Literal letters match either case; letters in brackets keep theirs, as in the original. */
const anyCase = (source: string): string =>
  source.replace(/\\.|\[[^\]]*\]|[A-Za-z]/g, (part) =>
    part.length > 1 ? part : `[${part.toLowerCase()}${part.toUpperCase()}]`,
  );
const oneOf = (words: string): string => `(?:${anyCase(words.trim().replaceAll(/\s+/g, '|'))})`;

// Java's lexer sees UTF-16 units, so characters beyond the basic plane are neither letters nor digits.
const letter = raw`[^\P{L}\u{10000}-\u{10FFFF}]`;
const digit = raw`[^\P{Nd}\u{10000}-\u{10FFFF}]`;
const alphanumeric = `(?:${letter}|${digit})`;
const accent = raw`[\u00AD\u02C2-\u02C5\u02D2-\u02DF\u02E5-\u036F]|(?=[\u0483-\u0ECD])\p{M}`;
const entityLetter = anyCase('&[aeiouAEIOU](?:acute|grave|uml);');
const wordLetter = `(?:${letter}|${accent}|${entityLetter})`;
const wordPart = `${wordLetter}(?:${wordLetter}|${digit})*`;
const word = `${wordPart}(?:[.!?]${wordPart})*`;

const blank = raw`[ \t\u00A0\u2000-\u200A\u3000]`;
const newline = raw`[\r\n\u2028\u2029\u000B\u000C\u0085]`;
const space = `(?:${blank}|${newline})`;
const gap = raw`[\- \u00A0]`;
const hyphen = raw`[\-_\u058A\u2010\u2011]`;
const clauseMark = raw`[,;:\u3001]`;

const apostrophe = anyCase(raw`(?:['\u0092\u2019]|&apos;)`);
const anyApostrophe = anyCase(raw`(?:['\u0092\u2019\u0060\u0091\u2018\u201B]|&apos;)`);
const auxiliary = `${apostrophe}(?:[msdMSD]|${oneOf('re ve ll')})`;
const negation = `[nN]${anyApostrophe}[tT]`;

const months = 'Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec';
const days = 'Mon Tue Tues Wed Thu Thurs Fri';
const states = `Ala Ariz [A]rk [A]z Calif Colo Conn Ct Dak [D]el Fla Ga [I]ll Ind Kans? Ky [L]a [M]ass Md Mich Minn
  [M]iss Mo Mont Neb Nev Okla [O]re [P]a Penn Tenn [T]ex Va Vt [W]ash Wisc? Wyo`;
const companies = 'Assn Bancorp Bhd Corp Cos? Inc Intl Ltd Plc Pp?t[ye]s? Rt Sys Univ';
const suffixes = raw`al Bldg Blvd Bros (?:Ed|Ph)\.D Esq est etc ext Jr Rd seq sq Sr tel`;
const trailingAbbreviation = oneOf([months, days, states, companies, suffixes].join(' '));

const titles = `Adj Adm Adv Assoc Asst Attys? Ave Brig Capt Col Co?mdr Cpl Det Drs? Ens Ft Gen Govs? Hon Insp Lieut
  Lt Maj Messrs [M]iss Mlle Mme Mr Mrs Ms Msgr Mt Pfc Pres Profs? Pvt Reps? Rev Sens? Sfc Sgt Spc Ste?
  Supts?`;
const leadingAbbreviation = oneOf(raw`${titles} a\.k\.a Alex cf Cie Dept Elec Invt Jos M[ft]g Natl Ph Treas vs Wm`);
const numberedAbbreviation = oneOf('art bldg ca figs? nos? op pp prop');

const compoundAcronym = anyCase(raw`(?:(?:Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(?:U\.K|U\.S\.S\.R))`);
const initials = raw`[A-Za-z](?:\.[A-Za-z])+`;
const acronym = `(?:${compoundAcronym}|${initials}|[A-Za-z])`;
/** After "vitamin C." these words begin a sentence, so the letter is a word and the period a full stop. */
const sentenceOpener = oneOf(
  raw`About According Additionally After An A As At But Earlier He Her Here However If In It Last Many More Mr\. Ms\.
    Now Once One Other Our She Since So Some Such That The Their Then There These They This We When While What Yet
    You`.replaceAll(/[A-Z]/g, '[$&]'),
);

const name = raw`[A-Za-z][A-Za-z0-9_:.\-]*`;
const attribute = ` +${name}(?: *= *(?:'[^']*'|"[^"]*"))?`;
const markup = raw`<(?:[!?][A-Za-z\-][^>\r\n]*|${name}(?:${attribute})* */?|/${name}) *>`;

const urlPath = raw`/[^ \t\n\f\r"<>|()]+[^ \t\n\f\r"<>|.!?(){},\-]`;
const wwwHost = raw`${anyCase('www')}\.(?:[^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}`;
const bareHost = raw`(?:[^ \t\n\f\r"\u0060'<>|.!?(){},-_$]+\.)+${oneOf('com net org edu')}`;
const domainChar = raw`[^ \t\n\f\r"<>|(){}.\u00A0]`;
const address = raw`[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00A0{}]*@(?:${domainChar}+\.)*${domainChar}+`;

const number = raw`[\-+]?(?:${digit}*(?:[.:,\u00AD\u066B\u066C]${digit}+)+|${digit}+)`;
const slash = raw`(?:\\?/|\u2044)`;
const fraction = `(?:${digit}{1,4}${gap})?${digit}{1,4}${slash}${digit}{1,4}`;
const telephoneStart = raw`(?:\([0-9]{2,3}\)[ \u00A0]?|\+{0,2}(?:[0-9]{2,4}${gap})?[0-9]{2,4}${gap})`;
const nameChar = `(?:${wordLetter}|${digit})`;
const extension = oneOf(`bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl
  png ppt ps py sql tar txt wav x xml zip`);

const elision = `(?:[dDoOlL]${anyApostrophe}${alphanumeric})?`;
const thing = `${elision}${alphanumeric}+(?:${hyphen}${elision}${alphanumeric}+)*`;
const hyphenated = raw`[A-Za-z0-9][A-Za-z0-9.,\u00AD]*(?:-(?:${initials}\.|[A-Za-z0-9\u00AD]+))+`;
const conglomerate = `[A-Z]+(?:(?:${anyCase('&amp;')}|[+&])[A-Z]+)+`;
const slashed = raw`[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}`;

const plain = (token: string): string => token;
const nothing = (): string => '';
const withoutSoftHyphens = (token: string): string => token.replaceAll('\u00AD', '') || '-';
const unbroken = (token: string): string => token.replaceAll(' ', '\u00A0');
const brackets: Readonly<Record<string, string>> = {
  '(': '-LRB-',
  ')': '-RRB-',
  '[': '-LSB-',
  ']': '-RSB-',
  '{': '-LCB-',
  '}': '-RCB-',
};
const roundBrackets = (token: string): string => token.replaceAll(/[()]/g, (b) => brackets[b]!);
const ampersand = (token: string): string => token.replaceAll(/&amp;/gi, '&');
const straightQuotes = (token: string): string =>
  token
    .replaceAll(/&apos;|[\u0092\u2019\u203A]/g, "'")
    .replaceAll(/"|&quot;|[\u0094\u201D\u00BB]/g, "''")
    .replaceAll(/[\u0091\u2018\u201B\u2039]/g, '`')
    .replaceAll(/[\u0093\u201C\u00AB]/g, '``');
const fractions: Readonly<Record<string, string>> = {
  '\u00BC': '1/4',
  '\u00BD': '1/2',
  '\u00BE': '3/4',
  '\u2153': '1/3',
  '\u2154': '2/3',
};
const currency = (token: string): string =>
  token
    .replace('\u00A2', 'cents')
    .replace('\u00A3', '#')
    .replace(/[\u0080\u00A4\u20A0\u20AC]/, '$');

/** A pattern, or several where the longest alternative is not the first, and how its tokens are written. */
function rule(patterns: string | readonly string[], write: (token: string) => string = plain): TokenRule[] {
  return [patterns].flat().map((pattern) => ({ pattern: new RegExp(pattern, 'uy'), write }));
}

/** What ends a line. */
export const lineBreak = new RegExp(newline, 'gu');

/** The rules, the first of equally long matches winning. */
export const tokenRules: readonly TokenRule[] = [
  // Words that the treebank splits: the second half is the context, and is read next.
  rule(['(can)not', "('t)was", "('t)is", '(gon)na', '(got)ta', '(lem)me', '(gim)me', '(wan)na'].map(anyCase)),
  rule([anyCase(raw`[cC]\+\+`), '[cCfF]#']),
  rule(markup, unbroken),
  rule([anyCase('&(?:MD|mdash|ndash);'), raw`[\u0096\u0097\u2013-\u2015]`], () => '--'),
  rule(anyCase('&amp;'), ampersand),
  rule(anyCase('&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);')),

  // A word, up to its "'s" or "n't".
  rule([`(${word})${auxiliary}`, raw`([A-Za-z\u00AD]*[A-MO-Za-mo-z]\u00AD*)${negation}`, word], withoutSoftHyphens),
  // Words that keep their apostrophe.
  rule([
    `${apostrophe}[nN]${apostrophe}?`,
    `[lLdDjJ]${apostrophe}`,
    ...['Dunkin', 'somethin', 'ol'].map((stem) => anyCase(stem) + apostrophe),
    ...['em', 'till?', 'cause'].map((rest) => apostrophe + anyCase(rest)),
    `${apostrophe}[2-9]0[sS]`,
    `[A-HJ-XZn]${anyApostrophe}${letter}{2,}`,
    `${letter}+[aeiouyAEIOUY]${anyApostrophe}[aeiouA-Z]${letter}*`,
    anyCase(raw`cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l`),
    `[oO]${anyApostrophe}[oO]`,
    `([yY]${apostrophe})${letter}`,
  ]),

  // Addresses on the net.
  rule(raw`${anyCase('https?')}://[^ \t\n\f\r"<>|(){}]+[^ \t\n\f\r"<>|.!?(){},\-]`),
  rule([`${wwwHost}${urlPath}`, wwwHost, `${bareHost}${urlPath}`, bareHost]),
  rule(`(?:<|&lt;)?${address}(?:>|&gt;)?`),
  rule(['@[a-zA-Z_][a-zA-Z_0-9]*', `#${wordLetter}+`]),

  // Clitics, numbers and money.
  rule(`(${auxiliary}|${negation})[^A-Za-z]`, straightQuotes),
  rule(raw`${digit}{1,2}[\-/]${digit}{1,2}[\-/]${digit}{2,4}`),
  rule(number, withoutSoftHyphens),
  rule(raw`[\u207A\u207B\u208A\u208B]?(?:[\u2070\u00B9\u00B2\u00B3\u2074-\u2079]+|[\u2080-\u2089]+)`),
  rule(fraction, unbroken),
  rule(raw`[\u00BC-\u00BE\u2153-\u215E]`, (token) => fractions[token] ?? token),
  rule(
    [
      ...['-(?:RRB|LRB|RCB|LCB|RSB|LSB)-', raw`C\.D\.s`, 'pro-', 'anti-', 'S(?:&|&amp;)P-500', 'S(?:&|&amp;)Ls'].map(
        anyCase,
      ),
      `${anyCase('Cap')}${apostrophe}[nN]`,
      `[cC]${apostrophe}${anyCase('est')}`,
    ],
    ampersand,
  ),
  rule(slashed),
  rule(raw`[A-Z]*\$|#`),
  rule(raw`[\u00A2-\u00A5\u0080\u20A0\u20AC\u060B\u0E3F\u20A4\uFFE0\uFFE1\uFFE5\uFFE6]`, currency),

  // Acronyms and abbreviations keep their period.
  rule(raw`([A-Za-z])\.${space}+(?:${sentenceOpener}|${markup})${space}`),
  rule(raw`(${numberedAbbreviation}\.)${space}?${digit}`),
  rule(raw`(${anyCase('pt[eyEY]')}\.)${blank}${oneOf('ltd lim')}`),
  // Two characters of context let an abbreviation win over a word that goes on for one letter ("Inc.a").
  rule([raw`(${trailingAbbreviation}\.)[^][^]`, raw`${trailingAbbreviation}\.`]),
  rule([raw`${leadingAbbreviation}\.`, raw`${compoundAcronym}\.`, raw`${initials}\.`, raw`[A-Za-z]\.`]),
  rule([`(${leadingAbbreviation})${blank}`, `(${acronym})${space}`]),
  rule(`(${apostrophe}[0-9][0-9])${space}`),
  rule(raw`(${nameChar}+(?:\.${nameChar}+)*\.${extension})(?:${space}|[.?!,])`),
  rule(raw`(${word}\.)${clauseMark}`, withoutSoftHyphens),
  rule(
    [`${telephoneStart}[0-9]{3,4}${gap}?[0-9]{3,5}`, raw`(?:\+{0,2}[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}`],
    (token) => roundBrackets(unbroken(token)),
  ),
  rule(anyCase('"|&quot;'), straightQuotes),
  rule(raw`\x7f`, nothing),
  rule(anyCase('<|&lt;'), () => '<'),
  rule(anyCase('>|&gt;'), () => '>'),
  rule(
    [
      raw`([<>]?[:;=][\-oO*']?[()DPdpO\\{@|[\]])[^A-Za-z0-9]`,
      raw`[\-^x=~<>']_[\-^x=~<>']`,
      raw`\([\-^x=~<>'][_.]?[\-^x=~<>']\)`,
      raw`\([\^x=~<>']-[\^x=~<>'\u0060]\)`,
    ],
    roundBrackets,
  ),
  rule(raw`[()[\]{}]`, (token) => brackets[token]!),
  rule('-+', (token) => (token.length === 3 || token.length === 4 ? '--' : token)),
  rule([raw`\.{3,5}`, raw`(?:\.[ \u00A0]){2,4}\.`, raw`[\u0085\u2026]`], () => '...'),
  rule(['@+', '#+', '_+', raw`\*+`, raw`(?:\\\*){1,3}`, clauseMark, '[?!]+', '=', '/']),
  rule(raw`[.\u00A1\u00BF\u037E\u0589\u061F\u06D4\u0700-\u0702\u07FA\u3002]`),
  rule([raw`(${hyphenated}\.)${clauseMark}`, hyphenated], withoutSoftHyphens),
  rule([raw`(${thing}\.)${clauseMark}`, thing]),
  rule([raw`(${conglomerate}\.)${clauseMark}`, conglomerate], ampersand),
  rule([raw`(')[A-Za-z][^ \t\n\r\u00A0]`, auxiliary, negation, apostrophe, "''"], straightQuotes),
  rule(raw`[\u0060\u2018\u2019\u201A-\u201F\u0091-\u0094\u2039\u203A\u00AB\u00BB]{1,2}`, straightQuotes),
  rule(['<<', '>>']),
  rule(
    raw`[+%&~^|\\\u00A6-\u00A9\u00AC\u00AE-\u00BA\u00D7\u00F7\u2016\u2017\u2020-\u2023\u2030-\u2038\u203B` +
      raw`\u203E-\u2042\u2044\u207A-\u207F\u208A-\u208E\u2100-\u214F\u2190-\u21FF\u2200-\u2BFF\u3012\u30FB` +
      raw`\u0387\u05BE\u05C0\u05C3\u05C6\u05F3\u05F4\u0600-\u0603\u0606-\u060A\u060C\u061B` +
      raw`\u061E\u066A\u066D\u0964\u0965` +
      raw`\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65]`,
  ),
  rule([`${blank}+`, newline, raw`[\0\u200B\u200E\u200F\uFEFF]`, anyCase('&nbsp;')], nothing),
  // Anything else, such as an emoji, is dropped.
  rule('[^]', nothing),
].flat();
