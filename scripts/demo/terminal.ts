/**
 * A terminal in memory: what the demo writes, as rows of coloured runs. It knows what
 * scripts/demo/screen.ts writes, and refuses the rest by name.
 *
 * Test: test/demo.svg.test.ts
 */
export interface Run {
  /** Cells from the left. */
  readonly column: number;
  readonly text: string;
  /** "" or one of the styles of the screen. */
  readonly style: string;
}

interface Cell {
  readonly sign: string;
  readonly style: string;
}

const STYLES: Readonly<Record<string, string>> = {
  "1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "35": "magenta",
  "36": "cyan", "0": "", "22": "", "39": "",
};
const TOKEN = /\x1b\[([?\d;]*)([A-Za-z])|[\s\S]/gu;

export class Terminal {
  readonly #rows: Cell[][] = [[]];
  #row = 0;
  #column = 0;
  #style = "";

  /** @throws Error for a control sequence that the screen does not write */
  write(text: string): void {
    for (const [sign, number, command] of text.matchAll(TOKEN)) {
      if (command !== undefined) this.#control(number ?? "", command);
      else if (sign === "\r") this.#column = 0;
      else if (sign === "\n") this.#newline();
      else this.#put(sign);
    }
  }

  /** The rows so far, blanks at their ends left out. */
  rows(): Run[][] {
    return this.#rows.map(runsOf);
  }

  #put(sign: string): void {
    const row = this.#rows[this.#row]!;
    while (row.length < this.#column) row.push({ sign: " ", style: "" });
    row[this.#column++] = { sign, style: this.#style };
  }

  #newline(): void {
    this.#row += 1;
    this.#column = 0;
    if (this.#rows[this.#row] === undefined) this.#rows.push([]);
  }

  #control(number: string, command: string): void {
    const style = STYLES[number];
    if (command === "A") this.#row = Math.max(0, this.#row - Number(number));
    else if (command === "K") this.#rows[this.#row]!.length = this.#column;
    else if (command === "J") this.#rows.length = this.#row + 1;
    else if (command === "m" && style !== undefined) this.#style = style;
    else if (!/^\?25[hl]$/.test(number + command)) {
      throw new Error(`Cannot draw control sequence: ESC[${number}${command} is not known`);
    }
    if (command === "J") this.#rows[this.#row]!.length = this.#column;
  }
}

/** Signs that are drawn and not written: a run has only such, or none. */
export const isBar = (text: string): boolean => "█▒▬".includes(text[0]!);

function runsOf(cells: readonly Cell[]): Run[] {
  const runs: { column: number; text: string; style: string }[] = [];
  cells.forEach(({ sign, style }, column) => {
    const last = runs.at(-1);
    const next = last !== undefined && last.style === style && isBar(last.text) === isBar(sign)
      && last.column + last.text.length === column;
    if (sign === " " && !(next && cells[column + 1]?.sign !== " ")) return;
    if (next) last.text += sign;
    else if (sign !== " ") runs.push({ column, text: sign, style });
  });
  return runs;
}
