/**
 * Chapter 17: files that jobs hand on and are given: what the keys give, and how mistakes are told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits, parsePipeline, PipelineError, toYaml } from "#pipeline";
import { toSpec } from "#sdk";
import { jobPathProblem, MAX_ARTIFACT_PATH_BYTES, MAX_JOB_FILES } from "#wire";

const GOOD = `name: n
jobs:
  - id: train
    run: train
    outputs: [model.bin, ./logs/t.txt]
  - {id: between, run: ls, needs: train}
  - id: eval
    run: eval
    needs: between
    outputs: report.md
    inputs:
      - {job: train, path: ./model.bin}
      - {job: train, path: logs/t.txt, as: data/log}
`;

/** The problems of a pipeline, each from its place on. */
function problems(text: string): string[] {
  try {
    parsePipeline(text, { file: "p.yaml" });
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error.format().split("\n").filter((line) => line.startsWith("p.yaml"));
  }
  return [];
}

test("outputs and inputs are read, travel by the numbers of jobs, and become YAML again", () => {
  const definition = parsePipeline(GOOD);
  const [train, between, evaluate] = definition.jobs;
  assert.deepEqual(train!.files, { outputs: ["model.bin", "logs/t.txt"], inputs: [] });
  assert.equal(between!.files, undefined);
  assert.deepEqual(evaluate!.files, {
    outputs: ["report.md"],
    inputs: [
      { job: "train", path: "model.bin" }, { job: "train", path: "logs/t.txt", as: "data/log" },
    ],
  });
  assert.deepEqual(toSpec(definition).jobs[2]!.files!.inputs, [
    { job: 0, path: "model.bin", to: undefined }, { job: 0, path: "logs/t.txt", to: "data/log" },
  ]);
  assert.deepEqual(parsePipeline(toYaml(definition)), definition);
});

/** A job "a" with this key, and "b" behind it. */
const withKey = (key: string, b = "{id: b, run: ls, needs: a}"): string =>
  `name: n\njobs:\n  - id: a\n    run: ls\n    ${key}\n  - ${b}\n`;

test("each mistake in outputs and inputs is told where it stands", () => {
  const cases: [string, RegExp][] = [
    [withKey("outputs: /etc/passwd"), /^p\.yaml:5:14: "outputs" .* must be a path in the folder/],
    [withKey("outputs: ../x"), /must be a plain path, without "\.\."/],
    [withKey("outputs: [a//b]"), /must be a plain path/],
    [withKey("outputs: [dist/*.js]"), /there are no patterns, found "dist\/\*\.js"/],
    [withKey("outputs: [dist/]"), /put a folder into one with tar/],
    [withKey("outputs: [x, ./x]"), /"outputs" in job "a" names "\.\/x" twice/],
    [withKey('outputs: ["a\\tb"]'), /must not contain control characters/],
    [withKey("outputs: {a: b}"), /must be text or a list of texts/],
    [withKey(`outputs: [${"x".repeat(896)}]`), /is longer than 895 bytes/],
    [withKey("inputs: x"), /a list of maps with job and path, found .*: write \[\{job: …, path: …/],
    [withKey("inputs: [x]"), /must be a list of maps with job and path/],
    [withKey("inputs: [{path: x}]"), /"job" in "inputs" in job "a" is missing/],
    [withKey("inputs: [{job: b}]"), /"path" in "inputs" in job "a" is missing/],
    [withKey("inputs: [{job: b, path: x, to: y}]"), /unknown key "to"/],
    [withKey("outputs: f", "{id: b, run: ls, needs: a, inputs: [{job: a, path: g}]}"),
      /the input "g" is of job "a", which is none of its outputs/],
    [withKey("outputs: model", "{id: b, run: ls, needs: a, inputs: [{job: a, path: modle}]}"),
      /none of its outputs \(did you mean "model"\?\)/],
    [withKey("retries: 1", "{id: b, run: ls, needs: a, inputs: [{job: a, path: g}]}"),
      /the input "g" is of job "a", which has no outputs/],
    [withKey("outputs: f", "{id: b, run: ls, inputs: [{job: a, path: f}]}"),
      /the input of job "a" in job "b" is not there in time: it does not wait for that job/],
    [withKey("outputs: f", "{id: b, run: ls, inputs: [{job: aa, path: f}]}"),
      /unknown job "aa" in inputs of job "b"/],
    [withKey("outputs: f", "{id: b, run: l, needs: a, outputs: g, inputs: [{job: b, path: g}]}"),
      /the input of job "b" in job "b" is not there in time/],
    [withKey("outputs: f", "{id: b, call: m#f, needs: a, inputs: [{job: a, path: f}]}"),
      /"inputs" in job "b" is for programs: a call has no folder/],
    [withKey("outputs: f", "{id: b, run: s, type: service, outputs: f}"),
      /"outputs" in job "b" is for jobs that end, and this is a service/],
    [withKey("outputs: [f, g]",
      "{id: b, run: l, needs: a, inputs: [{job: a, path: f}, {job: a, path: g, as: f}]}"),
      /"as" in "inputs" in job "b" names "f" twice|names "f" twice/],
  ];
  for (const [text, wanted] of cases) {
    const found = problems(text);
    assert.equal(found.length, 1, `${text}\n${found.join("\n")}`);
    assert.match(found[0]!, wanted);
  }
});

test("a pipeline's limits of files are those of the wire, and its paths pass the master", () => {
  assert.equal(limits.MAX_FILES, MAX_JOB_FILES);
  assert.equal(limits.MAX_FILE_PATH_BYTES, MAX_ARTIFACT_PATH_BYTES - limits.MAX_ID_CHARS - 1);
  assert.equal(jobPathProblem("x".repeat(limits.MAX_FILE_PATH_BYTES)), undefined);
  assert.match(jobPathProblem("x".repeat(limits.MAX_FILE_PATH_BYTES + 1))!, /longer than 895/);
  for (const path of ["", "/a", "a/../b", "a//b", "./a", "a/", "a\nb"]) {
    assert.notEqual(jobPathProblem(path), undefined, path);
  }
});
