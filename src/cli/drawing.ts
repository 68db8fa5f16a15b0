/**
 * A few lines at the end of a terminal that are rewritten in place, as bytes. Pure.
 *
 *     a-7k2m  RUNNING  1/3 done        ◀── the cursor goes up to here; each line is rewritten and
 *       ✓ a  completed                     cleared to its right (ESC[K)
 *       ● b  running
 *     ▮                                ◀── and it ends here; the lines below are cleared (ESC[J)
 *
 * Clearing first and drawing then would be simpler. But tmux takes a cleared screen for one that
 * was scrolled away, and keeps a copy of every frame.
 *
 * Invariants: the cursor stands in the first column below the drawing, or, after somebody typed,
 * somewhere in that line; one frame is one write, or the terminal would show it half done.
 * Test: test/cli.drawing.test.ts
 */
import { width } from "./text.ts";

const ESC = "\u001b[";
const UP = (lines: number): string => (lines === 0 ? "" : `${ESC}${lines}A`);
const CLEAR_RIGHT = `${ESC}K`;
const CLEAR_BELOW = `${ESC}J`;
const HIDE_CURSOR = `${ESC}?25l`;
const SHOW_CURSOR = `${ESC}?25h`;

export class Drawing {
  /** Rows of the terminal that the last frame took. */
  #rows = 0;

  /** Hides the cursor, which would jump about. */
  begin(): string {
    return HIDE_CURSOR;
  }

  /**
   * Replaces what was drawn. A terminal of `columns` breaks longer lines, which then take several
   * rows.
   */
  frame(lines: readonly string[], columns: number): string {
    // The terminal echoes typed keys, ^C among them, where the cursor stands. ESC[nA alone would
    // keep that column, so the frame begins with \r.
    const drawn = lines.map((line) => `${line}${CLEAR_RIGHT}\n`).join("");
    const text = `\r${UP(this.#rows)}${drawn}${CLEAR_BELOW}`;
    this.#rows = lines.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns)),
      0,
    );
    return text;
  }

  /** Puts a line in the place of the drawing; the next frame comes below it. */
  note(line: string): string {
    const text = `\r${UP(this.#rows)}${line}${CLEAR_RIGHT}\n${CLEAR_BELOW}`;
    this.#rows = 0;
    return text;
  }

  /**
   * Leaves the drawing where it is, and the next frame comes below it: the terminal has been
   * resized, or another program wrote to it.
   */
  abandon(): void {
    this.#rows = 0;
  }

  end(): string {
    return SHOW_CURSOR;
  }
}
