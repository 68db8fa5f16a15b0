/**
 * Lesson 19: what a program prints for a terminal, as pieces of text with a style.
 *
 *     "\x1b[1;31mERROR\x1b[0m disk"   ──▶   [{text: "ERROR", bold, color 1}, {text: " disk"}]
 *
 * Of all that a terminal understands only colours and weights are kept (SGR: ESC [ … m). Cursor
 * movements, titles and links are dropped: they say something about a screen that is not here.
 * Control characters are shown as signs (NUL as ␀), because output must not vanish.
 *
 * A line that was overwritten by means of \r is what a terminal would show last, so a progress bar
 * is one line.
 *
 * Invariants: the text of all pieces is the text of the line without escapes; any input gives some
 * output, in time that is linear in its length.
 * Left out: tabs that are wider than others, bold as bright, blinking.
 * Test: test/19-dashboard.run.logs.test.ts
 */
export interface Style {
  /** 0 to 15 of the theme, or "#rrggbb". */
  readonly color?: number | string;
  readonly background?: number | string;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly inverse?: boolean;
  readonly strike?: boolean;
}

export interface Piece {
  readonly text: string;
  readonly style: Style;
}

export const PLAIN: Style = {};

/**
 * SGR; other CSI sequences; strings for the terminal such as a title (OSC, DCS, PM, APC), which
 * end with BEL or ST, or with the line; any other escape. Each alternative is linear: no part can
 * match what the next one begins with.
 */
const ESCAPE = new RegExp(
  "(?:\\u001b\\[|\\u009b)([0-9;:]*)m" +
    "|(?:\\u001b\\[|\\u009b)[0-?]*[ -/]*[@-~]?" +
    "|\\u001b[\\]PX^_][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?" +
    "|\\u001b[ -/]*[0-~]?",
  "g",
);
/** All but the tab. */
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/g;

export function piecesOf(line: string, before: Style = PLAIN): { pieces: Piece[]; after: Style } {
  const pieces: Piece[] = [];
  let style = before;
  let from = 0;
  const add = (text: string): void => {
    if (text !== "") pieces.push({ text: asSigns(text), style });
  };
  for (const found of line.matchAll(ESCAPE)) {
    add(line.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[1] !== undefined) style = restyled(style, found[1]);
  }
  add(line.slice(from));
  return { pieces: overwritten(pieces), after: style };
}

/** Without escapes: what a search looks at, and what is copied. */
export function plainText(line: string): string {
  if (!/[\u0000-\u0008\u000b-\u001f\u007f\u009b]/.test(line)) return line;
  return piecesOf(line).pieces.map(({ text }) => text).join("");
}

/** A control character as its sign in Unicode. A \r stays for `overwritten` to see. */
function asSigns(text: string): string {
  return text.replace(CONTROL, (char) => {
    if (char === "\r") return char;
    return char === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + char.charCodeAt(0));
  });
}

/** Only what stands behind the last \r that has something behind it. */
function overwritten(pieces: readonly Piece[]): Piece[] {
  const kept: Piece[] = [];
  for (const { text, style } of pieces.toReversed()) {
    const bare = kept.length === 0 ? text.replace(/\r+$/, "") : text;
    const at = bare.lastIndexOf("\r");
    const rest = bare.slice(at + 1);
    if (rest !== "") kept.push({ text: rest, style });
    if (at >= 0) break;
  }
  return kept.reverse();
}

/** The codes that switch one thing on, and those that switch it off. */
const ON: Readonly<Record<number, Style>> = {
  1: { bold: true }, 2: { dim: true }, 3: { italic: true }, 4: { underline: true },
  7: { inverse: true }, 9: { strike: true },
};
const OFF: Readonly<Record<number, readonly (keyof Style)[]>> = {
  21: ["bold"], 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"],
  29: ["strike"], 39: ["color"], 49: ["background"],
};

function restyled(before: Style, codes: string): Style {
  const numbers = codes.split(/[;:]/).map(Number);
  let style: Style = before;
  for (let at = 0; at < numbers.length; at++) {
    const code = numbers[at]!;
    if (code === 0) style = PLAIN;
    else if (ON[code] !== undefined) style = { ...style, ...ON[code] };
    else if (OFF[code] !== undefined) style = without(style, OFF[code]);
    else if (code === 38 || code === 48) {
      const { color, used } = longColor(numbers.slice(at + 1, at + 5));
      at += used;
      if (color === undefined) continue;
      style = { ...style, [code === 38 ? "color" : "background"]: color };
    } else {
      const found = shortColor(code);
      if (found !== undefined) style = { ...style, ...found };
    }
  }
  return style;
}

function without(style: Style, keys: readonly (keyof Style)[]): Style {
  return Object.fromEntries(
    Object.entries(style).filter(([key]) => !keys.includes(key as keyof Style)));
}

/** 30–37 and 90–97 for the text, 40–47 and 100–107 for what is behind it. */
function shortColor(code: number): Style | undefined {
  const bright = code >= 90 ? 8 : 0;
  const base = code - (bright === 0 ? 0 : 60);
  if (base >= 30 && base <= 37) return { color: base - 30 + bright };
  if (base >= 40 && base <= 47) return { background: base - 40 + bright };
  return undefined;
}

/** What follows 38 or 48: `5;N`, or `2;R;G;B`. */
function longColor(rest: readonly number[]): { color?: number | string; used: number } {
  const [kind, ...values] = rest;
  const isByte = (value: number | undefined): value is number =>
    value !== undefined && value >= 0 && value <= 255;
  if (kind === 5) {
    const [index] = values;
    return isByte(index) ? { color: paletteColor(index), used: 2 } : { used: 2 };
  }
  if (kind !== 2) return { used: 1 };
  const [red, green, blue] = values;
  if (!isByte(red) || !isByte(green) || !isByte(blue)) return { used: 4 };
  return { color: hex(red, green, blue), used: 4 };
}

/** 16 of the theme, a cube of 6 × 6 × 6, and 24 greys. */
function paletteColor(index: number): number | string {
  if (index < 16) return index;
  if (index >= 232) {
    const grey = 8 + 10 * (index - 232);
    return hex(grey, grey, grey);
  }
  const level = (value: number): number => value === 0 ? 0 : 55 + 40 * value;
  const at = index - 16;
  return hex(level(Math.floor(at / 36)), level(Math.floor(at / 6) % 6), level(at % 6));
}

function hex(red: number, green: number, blue: number): string {
  return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
