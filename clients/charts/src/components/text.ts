// What a text tile says: a few marks of Markdown as elements, and texts of Keen's editor as they are. A script of
// its own, which comes with the first text: it imports nothing, so that the build shares nothing with it.

const CSS = `.words p,.words ul,.words h2,.words h3,.words h4{margin:0 0 6px;overflow-wrap:anywhere}
.words h2{font-size:15px}.words h3{font-size:17px;line-height:1.3}.words h4{font-size:14px}
.words ul{padding-inline-start:18px}.words a{color:var(--_accent)}.words>:last-child{margin-bottom:0}
.words code{padding:1px 4px;border-radius:4px;background:var(--_track);font-family:ui-monospace,monospace;font-size:.92em}`;

/** Bounded, since each search for an end that is not there costs as much. */
const MARKS =
  /\\([\\`*[\]#-])|`([^`]{1,500})`|\*\*(?!\s)(.{1,500}?)(?<!\s)\*\*|\*(?![\s*])(.{1,500}?)(?<!\s)\*(?!\*)|\[([^\]]{1,500})\]\((https?:\/\/[^\s)]{1,2000}|mailto:[^\s)]{1,500})\)/i;

type Child = Node | string;

function made(name: string, ...children: Child[]): HTMLElement {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

function link(address: string, children: Child[]): HTMLElement {
  const anchor = made("a", ...children) as HTMLAnchorElement;
  anchor.href = address;
  anchor.target = "_blank";
  anchor.rel = "noopener";
  return anchor;
}

/** One line: what is marked as elements, and all else as it is written. */
function inline(line: string): Child[] {
  const parts: Child[] = [];
  for (let found; (found = MARKS.exec(line)); line = line.slice(found.index + found[0].length)) {
    const [, escaped, code, bold, italics, label, address] = found;
    parts.push(line.slice(0, found.index));
    if (escaped) parts.push(escaped);
    else if (code) parts.push(made("code", code));
    else if (address) parts.push(link(address, inline(label)));
    else parts.push(made(bold ? "strong" : "em", ...inline(bold ?? italics)));
  }
  return [...parts, line];
}

function marked(text: string): HTMLElement[] {
  const blocks: HTMLElement[] = [];
  for (const part of text.split(/\r?\n\s*\n/)) {
    let open: HTMLElement | null = null;
    for (const line of part.split(/\r?\n/).filter((one) => one.trim())) {
      const [, heading, item, rest] = /^\s*(?:(#{1,3}) +|([-*]) +)?(.*)$/.exec(line)!;
      const name = heading ? (heading === "#" ? "h3" : "h4") : item ? "ul" : "p";
      const goes: boolean = !heading && open?.localName === name;
      if (!goes) blocks.push((open = made(name)));
      else if (!item) open!.append(made("br"));
      open!.append(...(item ? [made("li", ...inline(rest))] : inline(rest)));
    }
  }
  return blocks;
}

/** Put the content of a text widget into its card. */
export function write(card: HTMLElement, content: unknown): void {
  const { adoptedStyleSheets: sheets } = card.getRootNode() as ShadowRoot;
  if (sheets && !sheets.includes(sheet)) sheets.push(sheet);
  card.append(...(typeof content === "string" ? marked(content) : blocksOf(content).map((line) => made("p", line))));
}

/** The lines of a text of Keen's dashboard creator. */
function blocksOf(content: unknown): string[] {
  const blocks = (content as { blocks?: unknown } | null)?.blocks;
  return (Array.isArray(blocks) ? blocks : []).map((block) => String(block?.text ?? "")).filter(Boolean);
}

const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);
