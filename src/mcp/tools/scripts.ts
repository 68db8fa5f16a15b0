/**
 * Lesson 20: jobs as the first Titan's assistants wrote them: an id and the text of a script.
 *
 * Each script becomes a file of the run's project, so it may be as long as a file, and a traceback
 * names it.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { list, mismatch, text } from "#rows";
import { fields, textOf, ToolProblem, whole, words, type Args } from "./tool.ts";

export interface ScriptFile {
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

export interface ScriptJob {
  /** As in a pipeline file. */
  readonly job: { readonly id: string; readonly file: string };
  readonly content: string;
}

const JOB = fields({
  job_id: words("", { minLength: 1 }), "script_content?": text, "args?": text,
  "requirement?": text, "priority?": whole(""), "parents?": list(text), "hitl_message?": {
    anyOf: [text, { type: "null" }],
  },
});
/** Arguments of a tool that are no part of its job. */
const OTHERS: ReadonlySet<string> = new Set(["idempotency_key"]);

/** @throws {ToolProblem} */
export function readJobs(given: readonly Args[], where: string): ScriptJob[] {
  const ids = new Set(given.map((item) => item?.["job_id"]));
  return given.map((item, at) => {
    const own = Object.fromEntries(Object.entries(item ?? {}).filter(([key]) => !OTHERS.has(key)));
    const wrong = mismatch(JOB, own, given.length === 1 ? "" : `[${at}]`);
    if (wrong !== undefined) {
      throw new ToolProblem(`Cannot read ${where}: ${wrong.replace(/^\./, "")}`);
    }
    return readJob(own, { at, ids });
  });
}

function readJob(
  own: Args, { at, ids }: { at: number; ids: ReadonlySet<unknown> },
): ScriptJob {
  const id = textOf(own, "job_id")!;
  const [line, requirement, question] = ["args", "requirement", "hitl_message"]
    .map((name) => textOf(own, name) || undefined);
  const parents = (own["parents"] ?? []) as readonly string[];
  const job = {
    id, file: `scripts-${at + 1}/${id.replace(/[^\w.-]/g, "_")}.py`,
    ...(line !== undefined && { args: line }),
    ...(requirement !== undefined && { requirement }),
    ...(own["priority"] !== undefined && { priority: own["priority"] }),
    ...(parents.length > 0 && { depends_on: parents.map((parent) => meantParent(parent, ids)) }),
    ...(question !== undefined && { hitl_message: question }),
  };
  // An empty script does nothing, as in the first Titan.
  return { job, content: textOf(own, "script_content") ?? "pass" };
}

/** The first Titan's names may have its prefix, and it had a gate for a parent. */
function meantParent(parent: string, ids: ReadonlySet<unknown>): string {
  const bare = parent.replace(/^DAG-/, "").replace(/^hitl-gate-/, "");
  return !ids.has(parent) && ids.has(bare) ? bare : parent;
}

export function scriptFiles(jobs: readonly ScriptJob[]): ScriptFile[] {
  return jobs.map(({ job: { file }, content }) =>
    ({ path: file, content: Buffer.from(content), executable: false }));
}
