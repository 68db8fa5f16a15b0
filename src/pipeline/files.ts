/**
 * Lesson 17: do the files that the jobs name exist, in the folder that will be shipped?
 *
 * The question is asked where the folder is at hand, which is the CLI. The worker asks again: only
 * the worker knows for certain.
 * Test: test/17-pipelines.project.test.ts
 */
import type { ScalarNode } from "#yaml";
import type { ReadJob } from "./job.ts";
import type { Report } from "./problems.ts";

/** The folder around a pipeline. Paths have "/", and no "./" in front. */
export interface ProjectFiles {
  /** The kind of thing at a path. `leftOut`: packing leaves it out, by the rule of that name. */
  look(path: string): "file" | "folder" | "missing" | { readonly leftOut: string };
  /** The file that was probably meant. */
  meantFile(path: string): string | undefined;
}

/** Reports every `file` and every module of a `call` that would not be there on a worker. */
export function checkFiles(report: Report, jobs: readonly ReadJob[], project: ProjectFiles): void {
  for (const job of jobs) {
    const { action } = job.definition ?? {};
    if (action?.type === "file") {
      checkFile(report, job, { key: "file", path: action.file, project });
    }
    if (action?.type !== "call" || !action.target.includes("#")) continue;
    const path = action.target.slice(0, action.target.indexOf("#"));
    checkFile(report, job, { key: "call", path, project });
  }
}

interface Named {
  readonly key: "file" | "call";
  readonly path: string;
  readonly project: ProjectFiles;
}

function checkFile(report: Report, job: ReadJob, { key, path, project }: Named): void {
  const wanted = path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
  const found = wanted.split("/").includes("..") ? "file" : project.look(wanted);
  if (found === "file") return;
  const what = `"${key}"${job.scope}: `;
  const at = { node: valueAt(job, key), length: path.length };
  if (found === "folder") return report.problem("BAD_VALUE", at, `${what}${path} is a folder`);
  if (found === "missing") {
    const meant = project.meantFile(wanted);
    const help = meant === undefined ? "" : ` (did you mean "${meant}"?)`;
    const missing = `there is no ${path} in the project folder${help}`;
    return report.problem("BAD_VALUE", at, `${what}${missing}`);
  }
  const { leftOut } = found;
  const why = leftOut.endsWith("ignore") ? `${leftOut} names it` : `${leftOut} never is`;
  return report.problem("BAD_VALUE", at, `${what}${path} is not shipped: ${why}`);
}

function valueAt({ node }: ReadJob, key: string): ScalarNode {
  const entries = node.kind === "mapping" ? node.entries : [];
  return entries.find((entry) => entry.key.text === key)?.value as ScalarNode;
}
