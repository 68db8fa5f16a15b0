/**
 * Lesson 17: the position in the text: looking at it, and moving on.
 *
 * A column is `pos - lineStart`. A reader only moves forward, but for `rewind`.
 *
 * Test: test/17-pipelines.yaml.test.ts
 */

/** A remembered position, to point at later. */
export interface Mark {
  readonly pos: number;
  readonly line: number;
  readonly lineStart: number;
}

export class Cursor {
  readonly text: string;
  pos = 0;
  line = 1;
  lineStart = 0;

  constructor(text: string) {
    this.text = text;
  }

  // Looking.

  /** The character `ahead` places on; "" behind the end. */
  peek(ahead = 0): string {
    return this.text[this.pos + ahead] ?? "";
  }

  /** 0-based: the distance of the next character from the beginning of its line. */
  get column(): number {
    return this.pos - this.lineStart;
  }

  /**
   * Is the character `ahead` places on a blank, a line end or the end? An indicator needs one of
   * them behind it.
   */
  blankAt(ahead: number): boolean {
    const char = this.peek(ahead);
    return char === " " || char === "\n" || char === "\t" || char === "";
  }

  /** At the end of the text or of the document. */
  get ended(): boolean {
    return this.pos >= this.text.length || this.atMarker();
  }

  /** At `---` or `...` in column 0, which end everything that is open. */
  atMarker(): boolean {
    if (this.pos !== this.lineStart) return false;
    const { text, pos } = this;
    return (text.startsWith("---", pos) || text.startsWith("...", pos)) && this.blankAt(3);
  }

  mark(): Mark {
    return { pos: this.pos, line: this.line, lineStart: this.lineStart };
  }

  rewind(mark: Mark): void {
    this.pos = mark.pos;
    this.line = mark.line;
    this.lineStart = mark.lineStart;
  }

  // Moving.

  /** Over the line end at `pos`. */
  newline(): void {
    this.pos++;
    this.line++;
    this.lineStart = this.pos;
  }

  skipBlanks(): void {
    for (let char = this.peek(); char === " " || char === "\t"; char = this.peek()) this.pos++;
  }

  /** Over blanks, comments and line ends, to the next text. Returns whether a line was crossed. */
  skipToContent(): boolean {
    let crossed = false;
    for (;;) {
      this.skipBlanks();
      // "a#b" is text: a comment needs a blank or the start of the line before it.
      if (this.peek() === "#" && (this.pos === this.lineStart || " \t".includes(this.peek(-1)))) {
        const end = this.text.indexOf("\n", this.pos);
        this.pos = end < 0 ? this.text.length : end;
      }
      if (this.peek() !== "\n") return crossed;
      this.newline();
      crossed = true;
    }
  }
}
