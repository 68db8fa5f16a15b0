/**
 * What the demo shows: lines that stay, and below them, on a terminal, a drawing that is drawn anew
 * in place.
 *
 *     say("…")          a line that stays
 *     draw([…])         the drawing, until the next say() or draw(); in a pipe nothing
 *     leave([…])        the last drawing: it stays, in a pipe too
 *
 * Invariants: one write per change, so that a terminal never shows half of one; a line that would
 * not fit is cut before it is drawn, because a wrapped line would be counted as one; nothing is
 * written for a reader that has gone (`| head`).
 * Test: test/demo.test.ts
 */
import { stripVTControlCharacters, styleText } from "node:util";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "magenta";

const UP = (lines: number): string => (lines === 0 ? "" : `\x1b[${lines}A`);
/** Behind a line: erases the rest of a longer old line. */
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
/** Where nobody says how wide a line may be. */
const DEFAULT_COLUMNS = 88;

export interface Screen {
  readonly live: boolean;
  readonly columns: number;
  paint(style: Style, text: string): string;
  say(text?: string): void;
  draw(lines: readonly string[]): void;
  leave(lines: readonly string[]): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

export interface ScreenOptions {
  readonly out: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** `TITAN_DEMO_LIVE=1` draws into a pipe as on a terminal: that is how the recording is made. */
export function openScreen({ out, env }: ScreenOptions): Screen {
  const forced = env["TITAN_DEMO_LIVE"] === "1";
  const live = forced || (out.isTTY === true && env["TERM"] !== "dumb" && !env["CI"]);
  const colours = forced || (out.isTTY === true && out.hasColors());
  let gone = false;
  out.on("error", () => { gone = true; });
  const write = (text: string): void => {
    if (!gone) out.write(text);
  };
  if (live) write(HIDE_CURSOR);
  let drawn: readonly string[] = [];
  const columns = (): number => out.columns || DEFAULT_COLUMNS;
  const redraw = (above: readonly string[], lines: readonly string[]): void => {
    // Lines above the top of the screen cannot be drawn over: the cursor stops at the top.
    const fitting = lines.slice(0, Math.max(1, (out.rows || lines.length + 1) - 1));
    const all = [...above, ...fitting.map((line) => clip(line, columns() - 1))];
    const text = all.map((line) => `${line}${REST_OF_LINE}\n`).join("");
    write(`\r${UP(drawn.length)}${text}${REST_OF_SCREEN}`);
    drawn = fitting;
  };
  return {
    live,
    get columns() { return columns(); },
    // Whether to colour is decided above; newer versions of Node would decide once more.
    paint: (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text),
    say: (text = "") => (drawn.length > 0 ? redraw(text.split("\n"), drawn) : write(`${text}\n`)),
    draw: (lines) => { if (live) redraw([], lines); },
    leave: (lines) => {
      if (live) redraw([], lines);
      else write(lines.map((line) => `${line.trimEnd()}\n`).join(""));
      drawn = [];
    },
    close: () => { if (live) write(SHOW_CURSOR); },
  };
}

/**
 * At most `columns` cells. A line that is cut loses its colours: a colour that nobody ends would
 * run on.
 */
function clip(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : `${plain.slice(0, Math.max(0, columns - 1))}…`;
}
