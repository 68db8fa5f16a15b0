/**
 * From a text to its tree, and to all the problems that somebody finds in it. Private to
 * src/pipeline.
 *
 * Test: test/17-pipelines.test.ts
 */
import { normalizeYaml, parseYaml, YamlError, type YamlNode } from "#yaml";
import { Report, syntaxProblem } from "./problems.ts";

/**
 * Reads a text: a pipeline, or another file of the same kind (`pools.yaml`). `checks` get its tree,
 * and report what is wrong with it.
 *
 * @throws {PipelineError} that says `Cannot read ${what}`, with all problems and their places.
 */
export function readText<T>(
  text: string,
  { file, what }: { file: string; what: string },
  checks: (report: Report, root: YamlNode) => T | undefined,
): T {
  let root: YamlNode;
  try {
    root = parseYaml(text, { file });
  } catch (error) {
    throw error instanceof YamlError ? syntaxProblem(file, error, what) : error;
  }
  const report = new Report(file, what);
  return report.run(normalizeYaml(text), () => checks(report, root));
}
