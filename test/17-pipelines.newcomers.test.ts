/**
 * Chapter 17: twelve pipelines as people write them who come from elsewhere. Each is read, or
 * refused in sentences that lead to the right form; and the right form is read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePipeline, PipelineError } from "#pipeline";
import { foreignWords } from "../src/pipeline/foreign.ts";
import { NEWCOMERS } from "./17-pipelines.newcomers.ts";

function problemsOf(text: string): PipelineError | undefined {
  try {
    parsePipeline(text, { file: "p.yaml" });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error;
  }
}

test("parsePipeline() reads each newcomer's pipeline, or says what to write for every problem in " +
  "it", () => {
  assert.equal(NEWCOMERS.length, 12);
  for (const { title, written, hints } of NEWCOMERS) {
    const error = problemsOf(written);
    const messages = error?.problems.map(({ message }) => message) ?? [];
    assert.equal(messages.length, hints.length, `${title}:\n${messages.join("\n")}`);
    hints.forEach((hint, i) =>
      assert.ok(messages[i]!.includes(hint), `${title}: ${messages[i]}\n  lacks: ${hint}`),
    );
    for (const { line, excerpt } of error?.problems ?? []) {
      assert.ok(line !== undefined && excerpt?.includes("^"), title);
    }
  }
});

test("parsePipeline() says where jobs go that stand beside the other keys, as " +
  "GitLab has them", () => {
  const text = `stages: [build]
build:
  stage: build
  script: [make]
timout: {}
x-build: {}
more: 1
`;
  assert.deepEqual(problemsOf(text)?.problems.map(({ message }) => message), [
    'unknown key "stages": Titan has no stages: each job names the jobs before it in depends_on',
    "the pipeline needs a name",
    "the pipeline needs jobs",
    'unknown key "build": if it is a job, write "- id: build" and its keys below "jobs:"',
    'unknown key "timout": if it is a job, write "- id: timout" and its keys below "jobs:"',
    'unknown key "more"',
  ]);
  const slip = problemsOf("name: x\njob: {a: 1}\n")?.problems.map(({ message }) => message) ?? [];
  assert.ok(slip.includes('unknown key "job" (did you mean "jobs"?)'), slip.join("\n"));
});

test("parsePipeline() reads the form that the hints lead to", () => {
  for (const { title, corrected } of NEWCOMERS) {
    assert.equal(problemsOf(corrected)?.format(), undefined, title);
    assert.deepEqual(parsePipeline(corrected).warnings, [], title);
  }
});

test("a report about other tools' keys ends with the page that has them all, once", () => {
  for (const { title, written, hints } of NEWCOMERS) {
    const pages = problemsOf(written)?.format().split("docs/pipelines.md").length ?? 1;
    assert.equal(pages - 1, hints.length > 0 ? 1 : 0, title);
  }
  assert.ok(
    !problemsOf("name: n\njobs: [{id: a, rn: ls}]")!.format().includes("docs/pipelines.md"),
    "a slip of the finger needs no page",
  );
});

/** Values that people write, and some that nobody should. */
const VALUES = [
  "3", "0", "-1", "1.5", "1000", "99999999", "1e3", "012", "10m", "2 hours", "true", "no", "~",
  "null", '""', "make", "make all", "'it''s'", '"q: x"', "'#x'", '"a\\tb"', "é ü", "My nightly run",
  "[a, b]", "[[a]]", "[]", "{}", "{a: 1}", "{a: {b: c}}", "{limit: 3}", "[A=b, C=d]",
  "[{name: A, value: b}]", "ubuntu-latest", "[self-hosted, gpu]", "gpu box", "-x",
  "${{ always() }}",
];
const FOUND_AT = {
  pipeline: (line: string) => `${line}\njobs: [{id: a, run: x}]\n`,
  job: (line: string) => `name: n\njobs:\n  - ${line}\n`,
  retry: (line: string) => `name: n\njobs:\n  - id: j\n    run: x\n    retry:\n      ${line}\n`,
};

/** A whole pipeline around a line that was advised, with what that line needs beside it. */
function around(line: string, level: keyof typeof FOUND_AT): string {
  const key = line.slice(0, line.indexOf(":"));
  if (key === "name") return FOUND_AT.pipeline(line);
  // A first delay of a second would be longer than the shortest cap.
  if (key === "max_delay") return FOUND_AT.retry(`${line}\n      delay: 0`);
  if (level === "retry" || key === "max_attempts") return FOUND_AT.retry(line);
  const id = key === "id" ? "" : "id: j\n    ";
  const action = /^(?:run|file|command)$/.test(key) ? "" : "\n    run: x";
  return FOUND_AT.job(`${id}${line}${action}`);
}

test("a line that an advice says to write is read, whatever stands behind the foreign key", () => {
  const refused: string[] = [];
  let advised = 0;
  for (const level of ["pipeline", "job", "retry"] as const) {
    for (const word of [...foreignWords(level), "retry"]) {
      for (const value of VALUES) {
        const found = problemsOf(FOUND_AT[level](`${word}: ${value}`));
        for (const { message } of found?.problems ?? []) {
          const [, line] =
            /: write ([a-z_]+: .*?)(?: \(|; |, and |, or | in each|$)/.exec(message) ?? [];
          if (line === undefined) continue;
          // A parent that is not there is the author's to name; "…" is, too; "run: |" goes on
          // below.
          if (/…|^depends_on|^run: \||^max_wait|^call: path|^hitl/.test(line)) continue;
          advised += 1;
          const problem = problemsOf(around(line, level))?.problems[0]?.message;
          if (problem !== undefined) refused.push(`${word}: ${value} => ${line} => ${problem}`);
        }
      }
    }
  }
  assert.ok(advised > 1000, `${advised} lines`);
  assert.deepEqual(refused, []);
});

test("a foreign key is known in each spelling: with dashes, underscores, " +
  "blanks and capitals", () => {
  for (const key of ["timeout-minutes", "timeout_minutes", "timeoutMinutes", "Timeout Minutes"]) {
    const { problems } = problemsOf(FOUND_AT.job(`id: a\n    run: x\n    ${key}: 5`))!;
    assert.match(problems[0]!.message, /: write timeout: 5m \(m is minutes\)$/);
  }
});
