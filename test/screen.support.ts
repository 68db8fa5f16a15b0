/**
 * As much of a terminal as a test of drawings needs: what is on its screen, and what has scrolled
 * away.
 */
export class Screen {
  readonly #columns: number;
  readonly #rows: number;
  #lines: string[] = [""];
  #row = 0;
  #column = 0;
  readonly scrolled: string[] = [];
  cursor = true;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  get lines(): string[] {
    const text = this.#lines.map((line) => line.trimEnd());
    while (text.at(-1) === "") text.pop();
    return text;
  }

  write(text: string): void {
    for (const [part] of text.matchAll(/\u001b\[[?\d;]*[A-Za-z]|[^\u001b]/gu)) {
      if (part.startsWith("\u001b")) this.#control(part);
      else if (part === "\r") this.#column = 0;
      else if (part === "\n") this.#newLine();
      else this.#put(part);
    }
  }

  #put(character: string): void {
    if (this.#column === this.#columns) this.#newLine();
    const line = this.#line.padEnd(this.#column);
    this.#line = line.slice(0, this.#column) + character + line.slice(this.#column + 1);
    this.#column += 1;
  }

  /** As a terminal driver does it: to the first column of the next row. */
  #newLine(): void {
    this.#column = 0;
    this.#row += 1;
    if (this.#row === this.#rows) {
      this.scrolled.push(this.#lines.shift()!);
      this.#row -= 1;
    }
    this.#lines[this.#row] ??= "";
  }

  #control(sequence: string): void {
    const count = Number(/\d+/.exec(sequence)?.[0] ?? 0);
    if (sequence.endsWith("A")) this.#row = Math.max(0, this.#row - Math.max(1, count));
    else if (sequence.endsWith("K")) this.#line = this.#line.slice(0, this.#column);
    else if (sequence.endsWith("J")) this.#clearBelow();
    else if (sequence.startsWith("\u001b[?25")) this.cursor = sequence.endsWith("h");
  }

  /** tmux takes a whole screen that is cleared for one that was scrolled away. */
  #clearBelow(): void {
    if (this.#row === 0 && this.#column === 0) this.scrolled.push(...this.#lines);
    this.#line = this.#line.slice(0, this.#column);
    this.#lines.length = this.#row + 1;
  }

  get #line(): string {
    return this.#lines[this.#row] ?? "";
  }

  set #line(text: string) {
    this.#lines[this.#row] = text;
  }
}
