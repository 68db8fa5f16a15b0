/**
 * Lesson 17: all problems of a pipeline, at once.
 *
 * A person who can fix only one error per run will hate the tool. So checks *report* and go on, and
 * one error at the end carries every problem. A check that a problem has made pointless is skipped
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
  /** 1-based; absent for a pipeline that did not come from a text. */
  readonly line?: number;
  readonly column?: number;
  /** The line and the caret under it. */
  readonly excerpt?: string;
}

/** A pipeline that cannot be run, with every reason. */
export class PipelineError extends Error {
  override readonly name = "PipelineError";
  /** The code of the first problem. */
  readonly code: PipelineErrorCode;
  readonly file: string;
  readonly problems: readonly PipelineProblem[];

  /** The page to read on, when a key or word in the file belongs to another tool. */
  readonly page: string | undefined;

  constructor(
    file: string,
    problems: readonly PipelineProblem[],
    options?: ErrorOptions & { page?: string | undefined; what?: string },
  ) {
    const [first] = problems as [PipelineProblem];
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    super(`Cannot read ${options?.what ?? "pipeline"}: ${headline(file, first)}${more}`, options);
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

/** The place of a problem; `skip` and `length` narrow the caret down inside the node. */
export interface At {
  readonly node: YamlNode;
  readonly skip?: number;
  readonly length?: number;
}

/** Collects the problems that the checks find. */
export class Report {
  readonly file: string;
  readonly warnings: string[] = [];
  /** The thing that is read, for the error. */
  readonly #what: string;
  #foreign = false;
  readonly #found: { code: PipelineErrorCode; message: string; at: At }[] = [];

  constructor(file: string, what = "pipeline") {
    this.file = file;
    this.#what = what;
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
  /** Notes a problem. Returns undefined, so that a check can report and give up in one line. */
  problem(code: PipelineErrorCode, at: At | YamlNode, message: string): undefined {
    this.#found.push({ code, message, at: "node" in at ? at : { node: at } });
    if (this.#found.length >= MAX_PROBLEMS) throw ENOUGH;
    return undefined;
  }
  // #endregion

  warn(node: YamlNode, message: string): void {
    if (this.warnings.length >= MAX_PROBLEMS) return;
    const place = node.line === 0 ? "" : `:${node.line}:${node.column}`;
    this.warnings.push(`${this.file}${place}: ${message}`);
  }

  /**
   * Runs the checks, which return undefined only after a report, and throws the problems that they
   * found. Excerpts are taken from `text`.
   */
  run<T>(text: string | undefined, checks: () => T | undefined): T {
    let result: T | undefined;
    try {
      result = checks();
    } catch (error) {
      if (error !== ENOUGH) throw error;
    }
    const page = this.#foreign ? PAGE : undefined;
    if (this.#found.length === 0) return result as T;
    throw new PipelineError(this.file, this.#problems(text), { page, what: this.#what });
  }

  #problems(text: string | undefined): PipelineProblem[] {
    const placed = this.#found.map(({ code, message, at }) => {
      const { line, column, length } = at.node;
      const position = { line, column: column + (at.skip ?? 0), length: at.length ?? length };
      return { code, message, position };
    });
    placed.sort(({ position: a }, { position: b }) => a.line - b.line || a.column - b.column);
    let from: LineStart | undefined;
    return placed.map(({ code, message, position }) => {
      const { line, column } = position;
      if (line === 0 || text === undefined) return { code, message };
      // From the problem before: a hundred problems at the end of eight million lines are one walk,
      // not a hundred.
      from = lineStart(text, line, from);
      return { code, message, line, column, excerpt: excerpt(text, position, from) };
    });
  }
}

/** A text that is not YAML, as the one problem of a pipeline, or of what else was to be read. */
export function syntaxProblem(file: string, error: YamlError, what = "pipeline"): PipelineError {
  const [, ...lines] = error.format().slice(error.message.length).split("\n");
  const shown = lines.join("\n");
  const { reason: message, line, column } = error;
  const problem = { code: "SYNTAX" as const, message, line, column };
  return new PipelineError(file, [shown === "" ? problem : { ...problem, excerpt: shown }], {
    cause: error,
    what,
  });
}
