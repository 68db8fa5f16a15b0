/**
 * What a check found, and how it is shown: place, rule, and the difference when there are two
 * texts.
 */

export interface Problem {
  /** Relative to the root. */
  readonly file: string;
  readonly line: number;
  /** Closed set by convention: the name of the check, e.g. "fence-from". */
  readonly rule: string;
  readonly message: string;
  readonly expected?: string;
  readonly received?: string;
  /** A warning is printed and does not fail the gate. */
  readonly warning?: boolean;
}

export function formatProblem(problem: Problem): string {
  const head =
    `${problem.file}:${problem.line}  ` +
    `${problem.rule}${problem.warning ? " (warning)" : ""}: ${problem.message}`;
  if (problem.expected === undefined || problem.received === undefined) return head;
  const body = diffLines(problem.expected.split("\n"), problem.received.split("\n"));
  return [head, "    - expected", "    + received", ...body.map((line) => `    ${line}`)].join(
    "\n",
  );
}

/** Lines further than this from a difference are left out of the picture. */
const CONTEXT_LINES = 2;

/** A line diff by longest common subsequence: quadratic, and fences are short. */
export function diffLines(before: readonly string[], after: readonly string[]): string[] {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const out: string[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      [i, j] = (out.push(`  ${before[i]}`), [i + 1, j + 1]);
    } else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1))) {
      out.push(`- ${before[i++]}`);
    } else out.push(`+ ${after[j++]}`);
  }
  const near = out.map((_, k) =>
    out
      .slice(Math.max(0, k - CONTEXT_LINES), k + CONTEXT_LINES + 1)
      .some((line) => !line.startsWith("  ")),
  );
  return out.flatMap((line, k) => (near[k] ? [line] : near[k - 1] ? ["  …"] : []));
}
