// SVG as text: every attribute and text is escaped here, and nowhere else.

/** Text for XML: escaped, without the characters that XML 1.0 cannot hold. */
export function escape(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
  );
}

/** A coordinate with at most two decimals. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export type Attributes = Record<string, string | number | boolean | null | undefined>;

/** An element; attributes that are null, undefined or false are left out, `children` is SVG already. */
export function tag(name: string, attributes: Attributes, children = ""): string {
  let text = `<${name}`;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    text += ` ${key}="${typeof value === "number" ? round(value) : escape(String(value))}"`;
  }
  return children ? `${text}>${children}</${name}>` : `${text}/>`;
}

export function title(text: string): string {
  return `<title>${escape(text.length > 300 ? text.slice(0, 300) + "…" : text)}</title>`;
}
