/**
 * A run as a picture in text: a row per process and per job, time from left to right.
 *
 *     master   ▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬✗      ▬▬▬▬▬▬▬▬▬
 *     small    ▬▬▬▬✗     ▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬▬
 *     count-1  ░░░░✗     ░░░░░░░░░░              ✓ small, attempt 2
 *
 * Pure: `take` is given what `titan run --json` prints, `mark` what the demo does to a process, and
 * both the time.
 * Test: test/demo.test.ts
 */
import type { Style } from "./screen.ts";

/** A line of `titan run --json`, as docs/cli.md describes it. */
export interface JobNews {
  readonly job: string;
  readonly status: string;
  readonly attempt: number;
  readonly worker: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly failure?: { readonly message: string };
}

/** A job as `titan status RUN --json` has it. */
export interface JobStatus {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
  readonly worker: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

interface Span {
  /** 0 for a process. */
  readonly attempt: number;
  readonly from: number;
  to: number | undefined;
  /** The worker that an attempt runs on; for a process, its own name. */
  readonly who: string;
  failed: boolean;
}

interface Row {
  readonly name: string;
  readonly spans: Span[];
  status: string;
  attempt: number;
}

/** Two workers: one can tell their work apart without colours, too. */
const FILLS: Readonly<Record<string, { readonly sign: string; readonly style: Style }>> = {
  small: { sign: "▒", style: "cyan" },
  big: { sign: "█", style: "magenta" },
};
const PROCESS = { sign: "▬", style: "dim" } as const;
/** The picture of an untroubled demo fits into this; a longer run is drawn to a smaller scale. */
const SHORTEST_MS = 8000;
/** Beyond this a picture is no longer taken in at once. */
const WIDEST = 100;
/** To the left of the time: the longest name and two blanks. To the right: "✓ small, attempt 2". */
const NAME_CELLS = 13;
const WORDS_CELLS = 20;

export interface RenderOptions {
  readonly columns: number;
  readonly now: number;
  paint(style: Style, text: string): string;
}

export class Timeline {
  readonly #processes = new Map<string, Row>();
  readonly #jobs = new Map<string, Row>();
  #startedAt = 0;

  /** A process is there from now on, or it has gone. */
  mark(name: string, event: "up" | "killed", at: number): void {
    const row = this.#row(this.#processes, name);
    if (event === "killed") end(row, at, true);
    else row.spans.push({ attempt: 0, from: at, to: undefined, who: name, failed: false });
  }

  /** The jobs that will come, so that the picture has its height from the beginning. */
  expect(jobs: readonly string[], at: number): void {
    this.#startedAt = at;
    for (const job of jobs) this.#row(this.#jobs, job);
  }

  take({ job, status, attempt, worker, at }: JobNews): void {
    const row = this.#row(this.#jobs, job);
    row.status = status;
    row.attempt = attempt;
    if (status === "RUNNING") {
      end(row, at, true); // no news of its end: the connection was cut meanwhile
      row.spans.push({ attempt, from: at, to: undefined, who: worker ?? "", failed: false });
    } else end(row, at, status !== "COMPLETED");
  }

  /** Adds what nobody saw, because it happened while the connection was cut. */
  complete(jobs: readonly JobStatus[]): void {
    for (const { id, status, attempt, worker, startedAt, endedAt } of jobs) {
      const row = this.#row(this.#jobs, id);
      [row.status, row.attempt] = [status, attempt];
      if (startedAt === null) continue;
      if (row.spans.at(-1)?.attempt === attempt) row.spans.pop();
      const [to, failed] = [endedAt ?? startedAt, status !== "COMPLETED"];
      row.spans.push({ attempt, from: startedAt, to, who: worker ?? "", failed });
    }
  }

  /** Jobs that run on this worker, as far as is known. */
  runningOn(worker: string): string[] {
    return [...this.#jobs.values()]
      .filter(({ spans }) => spans.at(-1)?.to === undefined && spans.at(-1)?.who === worker)
      .map(({ name }) => name);
  }

  lines(options: RenderOptions): string[] {
    const rows = [...this.#processes.values(), ...this.#jobs.values()];
    return [this.#axis(options), ...rows.map((row) => this.#line(row, options))];
  }

  #row(rows: Map<string, Row>, name: string): Row {
    let row = rows.get(name);
    if (row === undefined) {
      row = { name, spans: [], status: "PENDING", attempt: 0 };
      rows.set(name, row);
    }
    return row;
  }

  #scale({ columns, now }: RenderOptions): { cells: number; msPerCell: number } {
    const cells = Math.max(10, Math.min(columns, WIDEST) - NAME_CELLS - WORDS_CELLS - 3);
    return { cells, msPerCell: Math.max(SHORTEST_MS, now - this.#startedAt) / cells };
  }

  #axis(options: RenderOptions): string {
    const { cells, msPerCell } = this.#scale(options);
    let text = "";
    // A word every two seconds; twice as far apart as long as they would touch.
    let stepS = 2;
    while ((stepS * 1000) / msPerCell < 5) stepS *= 2;
    for (let s = 0; (s * 1000) / msPerCell < cells - 3; s += stepS) {
      text = text.padEnd(Math.round((s * 1000) / msPerCell)) + `${s} s`;
    }
    return options.paint("dim", `  ${"".padEnd(NAME_CELLS)}${text}`);
  }

  #line(row: Row, options: RenderOptions): string {
    const { cells, msPerCell } = this.#scale(options);
    const cell = (at: number): number =>
      Math.min(cells - 1, Math.max(0, Math.floor((at - this.#startedAt) / msPerCell)));
    let bar = "";
    let used = 0;
    row.spans.forEach(({ from, to, who, failed }, index) => {
      const next = row.spans[index + 1];
      const start = Math.max(used, cell(from));
      // An attempt that lasted for less than a cell has one all the same, if the next one leaves
      // it.
      const limit = next ? cell(next.from) : cells;
      const stop = Math.max(start + 1, Math.min(cell(to ?? options.now), limit));
      const { sign, style } = FILLS[this.#jobs.has(row.name) ? who : ""] ?? PROCESS;
      const length = failed ? stop - start - 1 : stop - start;
      bar += " ".repeat(start - used) + options.paint(style, sign.repeat(length));
      if (failed) bar += options.paint("red", "✗");
      used = stop;
    });
    const name = this.#jobs.has(row.name) ? row.name : options.paint("bold", row.name);
    return `  ${name}${" ".repeat(NAME_CELLS - row.name.length)}${bar}`
      + `${" ".repeat(Math.max(1, cells - used + 1))}${this.#words(row, options)}`.trimEnd();
  }

  #words(row: Row, { paint }: RenderOptions): string {
    if (!this.#jobs.has(row.name)) return "";
    const who = row.spans.at(-1)?.who ?? "";
    if (row.status === "COMPLETED") {
      return `${paint("green", "✓")} ${who}${row.attempt > 1 ? `, attempt ${row.attempt}` : ""}`;
    }
    return row.status === "RUNNING" ? paint("dim", who) : "";
  }
}

function end(row: Row, at: number, failed: boolean): void {
  const last = row.spans.at(-1);
  if (last === undefined || last.to !== undefined) return;
  last.to = Math.max(at, last.from);
  last.failed = failed;
}
