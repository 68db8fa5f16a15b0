/**
 * What the drawn pictures of the lessons share: a page of one width, its colours in a light and a
 * dark theme, and text that is text. 400 units wide, so that it can be read on a telephone.
 *
 * Test: test/learn-pictures.test.ts
 */

export const WIDTH = 400;

export interface Picture {
  readonly title: string;
  /** What a person who cannot see it should know. */
  readonly description: string;
  readonly height: number;
  /** Elements, made by the functions below. */
  readonly parts: readonly string[];
}

const STYLE = `text{font:12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#23262b}
.page{fill:#fdfcf9}.head{font-weight:700}.small{font-size:10.5px;fill:#5c6470}
.axis{stroke:#8a929c}.grid{stroke:#d9dce0}.a{stroke:#0b5cad}.b{stroke:#a3470b}
.a,.b{stroke-width:2;fill:none}.fa{fill:#0b5cad}.fb{fill:#a3470b}.box{fill:#fff;stroke:#8a929c}
.one{fill:#d7e6f5;stroke:#8a929c}.two{fill:#e9e4d8;stroke:#8a929c}.lost{stroke-dasharray:3 3}
.lost{fill:none;stroke:#a3470b}.wide{stroke-width:3}
@media(prefers-color-scheme:dark){text{fill:#dfe2e7}.page{fill:#16181c}.small{fill:#9aa3af}
.grid{stroke:#33383f}.a{stroke:#7db8f5}.b{stroke:#f0a36b}.fa{fill:#7db8f5}.fb{fill:#f0a36b}
.box{fill:#22262c}.one{fill:#1d3a57}.two{fill:#3a3529}.lost{stroke:#f0a36b}}`;

export function drawPicture({ title, description, height, parts }: Picture): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `width="${WIDTH}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escape(title)}</title>
<desc id="description">${escape(description)}</desc>
<style>${STYLE}</style>
<rect class="page" width="${WIDTH}" height="${height}"/>
${parts.join("\n")}
</svg>
`;
}

export interface At {
  readonly x: number;
  readonly y: number;
}

export function text(
  { x, y }: At,
  words: string,
  { style, anchor }: { style?: string; anchor?: "middle" | "end" } = {},
): string {
  const chosen = style === undefined ? "" : ` class="${style}"`;
  const side = anchor === undefined ? "" : ` text-anchor="${anchor}"`;
  return `<text${chosen}${side} x="${short(x)}" y="${short(y)}">${escape(words)}</text>`;
}

export function line(style: string, points: readonly At[]): string {
  const way = points.map(({ x, y }) => `${short(x)} ${short(y)}`).join("L");
  return `<path class="${style}" d="M${way}"/>`;
}

/** A line with a tip at its end; `kind` is one of the two colours. */
export function arrow(kind: "a" | "b", from: At, to: At): string[] {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [ux, uy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const back = { x: to.x - 9 * ux, y: to.y - 9 * uy };
  const [left, right] = [4, -4].map((side) => ({ x: back.x - side * uy, y: back.y + side * ux }));
  return [
    line(kind, [from, back]),
    `<path class="f${kind}" d="M${[to, left!, right!].map(({ x, y }) =>
      `${short(x)} ${short(y)}`).join("L")}z"/>`,
  ];
}

export function box(style: string, { x, y }: At, width: number, height: number): string {
  return `<rect class="${style}" x="${short(x)}" y="${short(y)}" ` +
    `width="${short(width)}" height="${short(height)}"/>`;
}

export function dot(style: string, { x, y }: At, radius: number): string {
  return `<circle class="${style}" cx="${short(x)}" cy="${short(y)}" r="${radius}"/>`;
}

const short = (value: number): number => Math.round(value * 10) / 10;

export function escape(words: string): string {
  return words.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
