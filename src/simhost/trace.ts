/**
 * What happened, line by line, and a hash of all of it. Two runs with one hash were the same run.
 *
 * Ten thousand worlds do not keep their lines: with "hash" only the last ones stay, for the report
 * of a failure.
 *
 * Test: test/03-host.sim.test.ts
 */
import { createHash } from "node:crypto";

/** As much as a person reads of a failure, and a bit more. */
const KEPT_LINES = 2_000;

/** Hashing a line by itself costs more in the call than in the hash. */
const BATCH_CHARS = 16 * 1024;

export class Trace {
  /** All lines with "full", none with "hash". */
  readonly lines: string[] = [];
  readonly #keepAll: boolean;
  readonly #hash = createHash("sha256");
  #recent: string[] = [];
  #unhashed = "";

  constructor(mode: "full" | "hash") {
    this.#keepAll = mode === "full";
  }

  add(line: string): void {
    this.#unhashed += `${line}\n`;
    if (this.#unhashed.length >= BATCH_CHARS) this.#flush();
    if (this.#keepAll) {
      this.lines.push(line);
      return;
    }
    this.#recent.push(line);
    if (this.#recent.length >= 2 * KEPT_LINES) this.#recent = this.#recent.slice(-KEPT_LINES);
  }

  last(count: number): string[] {
    return count > 0 ? (this.#keepAll ? this.lines : this.#recent).slice(-count) : [];
  }

  /** SHA-256 over all lines so far, each with its line end. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  #flush(): void {
    if (this.#unhashed === "") return;
    this.#hash.update(this.#unhashed);
    this.#unhashed = "";
  }
}
