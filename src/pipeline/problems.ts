/**
 * Lesson 17: all that is wrong with a pipeline, at once.
 *
 * Someone who fixes one error per run learns to hate the tool. So checks *report* and go on, and
 * one error at the end carries every problem. What cannot be checked after a problem is skipped
 * silently: no second message about the same mistake.
 *
 * Invariants: problems are in the order of the text; at most MAX_PROBLEMS.
 * Test: test/17-pipelines.test.ts
 */
import { excerpt, lineStart, type LineStart, type YamlError, type YamlNode } from "#yaml";
import { MAX_PROBLEMS } from "./limits.ts";

/** Named once in a report: fifty repetitions of it would hide the advice. */
const PAGE = "docs/pipelines.md";

/** Kinds of problems. None goes away by trying again. */
export type PipelineErrorCode =
  | "SYNTAX"
  | "EMPTY"
  | "UNKNOWN_KEY"
  | "MISSING_KEY"
  | "WRONG_TYPE"
  | "BAD_VALUE"
  | "OUT_OF_RANGE"
  | "CONFLICT"
  | "UNSUPPORTED"
  | "DUPLICATE_ID"
  | "MISSING_PARENT"
  | "SELF_EDGE"
  | "CYCLE"
  | "TOO_LARGE";

export interface PipelineProblem {
  readonly code: PipelineErrorCode;
  readonly message: string;
  /** 1-based; absent for a pipeline that was no text. */
  readonly line?: number;
  readonly column?: number;
  /** The line and the caret under it. */
  readonly excerpt?: string;
}

/** A pipeline that cannot be run, with every reason. */
export class PipelineError extends Error {
  override readonly name = "PipelineError";
  /** Of the first problem. */
  readonly code: PipelineErrorCode;
  readonly file: string;
  readonly problems: readonly PipelineProblem[];

  /** The page to read on, when something in the file is not Titan's. */
  readonly page: string | undefined;

  constructor(
    file: string,
    problems: readonly PipelineProblem[],
    options?: ErrorOptions & { page?: string | undefined },
  ) {
    const [first] = problems as [PipelineProblem];
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    super(`Cannot read pipeline: ${headline(file, first)}${more}`, options);
    this.code = first.code;
    this.file = file;
    this.problems = problems;
    this.page = options?.page;
  }

  /** Every problem with its line and caret, for a person. */
  format(): string {
    const { file, page } = this;
    const lines = this.problems.flatMap((one) => [headline(file, one), one.excerpt]);
    if (page !== undefined) lines.push(`Every key, and where other tools' keys went: ${page}`);
    return lines.filter(Boolean).join("\n");
  }
}

function headline(file: string, problem: PipelineProblem): string {
  const place = problem.line === undefined ? "" : `:${problem.line}:${problem.column}`;
  return `${file}${place}: ${problem.message}`;
}

/** Thrown to stop checking once nobody would read on. */
const ENOUGH = Symbol("enough problems");

/** Where a problem is; `skip` and `length` narrow the caret down inside the node. */
export interface At {
  readonly node: YamlNode;
  readonly skip?: number;
  readonly length?: number;
}

/** Collects what the checks find. */
export class Report {
  readonly file: string;
  readonly warnings: string[] = [];
  #foreign = false;
  readonly #found: { code: PipelineErrorCode; message: string; at: At }[] = [];

  constructor(file: string) {
    this.file = file;
  }

  /** Marks `advice` as about another tool's word: the report then ends with the page about them. */
  foreign(advice: string): string {
    this.#foreign = true;
    return advice;
  }

  get count(): number {
    return this.#found.length;
  }

  // #region problem
  /** Notes a problem and goes on. Returns undefined, so that a check can report and give up in one line. */
  problem(code: PipelineErrorCode, at: At | YamlNode, message: string): undefined {
    this.#found.push({ code, message, at: "node" in at ? at : { node: at } });
    if (this.#found.length >= MAX_PROBLEMS) throw ENOUGH;
    return undefined;
  }
  // #endregion

  warn(node: YamlNode, message: string): void {
    if (this.warnings.length >= MAX_PROBLEMS) return;
    this.warnings.push(node.line === 0 ? `${this.file}: ${message}` : `${this.file}:${node.line}:${node.column}: ${message}`);
  }

  /** Runs the checks, which return nothing only after reporting why; throws what they found. Excerpts are taken from `text`. */
  run<T>(text: string | undefined, checks: () => T | undefined): T {
    let result: T | undefined;
    try {
      result = checks();
    } catch (error) {
      if (error !== ENOUGH) throw error;
    }
    const page = this.#foreign ? PAGE : undefined;
    if (this.#found.length > 0) throw new PipelineError(this.file, this.#problems(text), { page });
    return result as T;
  }

  #problems(text: string | undefined): PipelineProblem[] {
    const placed = this.#found.map(({ code, message, at }) => {
      const { line, column, length } = at.node;
      return { code, message, place: { line, column: column + (at.skip ?? 0), length: at.length ?? length } };
    });
    placed.sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
    let from: LineStart | undefined;
    return placed.map(({ code, message, place }) => {
      if (place.line === 0 || text === undefined) return { code, message };
      // On from the problem before: a hundred problems at the end of eight million lines are one walk, not a hundred.
      from = lineStart(text, place.line, from);
      return { code, message, line: place.line, column: place.column, excerpt: excerpt(text, place, from) };
    });
  }
}

/** A text that is no YAML, as the one problem of a pipeline. */
export function syntaxProblem(file: string, error: YamlError): PipelineError {
  const [, ...lines] = error.format().slice(error.message.length).split("\n");
  const problem = { code: "SYNTAX" as const, message: error.reason, line: error.line, column: error.column };
  return new PipelineError(file, [lines.join("\n") === "" ? problem : { ...problem, excerpt: lines.join("\n") }], { cause: error });
}
