/**
 * Chapter 17: twelve pipelines as people write them who come from elsewhere. Each is read, or
 * refused in sentences that lead to the right form; and the right form is read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePipeline, PipelineError } from "#pipeline";
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

test("parsePipeline() reads each newcomer's pipeline, or says what to write for every problem in it", () => {
  assert.equal(NEWCOMERS.length, 12);
  for (const { title, written, hints } of NEWCOMERS) {
    const error = problemsOf(written);
    const messages = error?.problems.map(({ message }) => message) ?? [];
    assert.equal(messages.length, hints.length, `${title}:\n${messages.join("\n")}`);
    hints.forEach((hint, i) =>
      assert.ok(messages[i]!.includes(hint), `${title}: ${messages[i]}\n  lacks: ${hint}`),
    );
    for (const { line, excerpt } of error?.problems ?? [])
      assert.ok(line !== undefined && excerpt?.includes("^"), title);
  }
});

test("parsePipeline() says where jobs go that stand beside the other keys, as GitLab has them", () => {
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
