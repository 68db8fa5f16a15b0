/**
 * Chapter 17: every limit at its value, and one beyond. Whether the wire carries all that is valid
 * is a question of 17-pipelines.wire.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { definePipeline, limits, parseDuration, parsePipeline, PipelineError } from "#pipeline";
import { MAX_BYTES, excerpt, parseYaml, resolveScalar, toValue } from "#yaml";

/** Of src/yaml/error.ts: a line of a terminal, less what stands before it. */
const MAX_EXCERPT_CHARS = 90;

/** In place of a script. */
const FILE = { run: undefined, file: "a.sh" };
const CALL = { run: undefined, call: "a.js#f" };

/** What is wrong with a pipeline of one job. */
function problems(job: object, pipeline: object = {}): string[] {
  try {
    definePipeline({ name: "n", jobs: [{ id: "a", run: "ls", ...job }], ...pipeline });
    return [];
  } catch (error) {
    if (error instanceof PipelineError) return error.problems.map(({ message }) => message);
    throw error;
  }
}

test("definePipeline() takes each part at its limit and refuses it one beyond", () => {
  const x = (length: number): string => "x".repeat(length);
  const env = (count: number): object =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`N${i}`, ""]));
  const cases: [name: string, limit: number, part: (size: number) => [object, object?]][] = [
    ["env", limits.MAX_ENV, (size) => [{ env: env(size) }]],
    ["a name in env", limits.MAX_ENV_NAME_CHARS, (size) => [{ env: { [x(size)]: "" } }]],
    ["a tag", limits.MAX_TAG_CHARS, (size) => [{ requirement: x(size) }]],
    ["tags", limits.MAX_TAGS, (size) => [{ requirement: Object.keys(env(size)) }]],
    ["run", limits.MAX_TEXT_BYTES, (size) => [{ run: x(size) }]],
    ["run in bytes", limits.MAX_TEXT_BYTES / 2, (size) => [{ run: "é".repeat(size) }]],
    ["args", limits.MAX_ARGS, (size) => [{ ...FILE, args: Array(size).fill("") }]],
    ["file", limits.MAX_PATH_BYTES, (size) => [{ run: undefined, file: x(size) }]],
    ["with", limits.MAX_INPUT_BYTES - 2, (size) => [{ ...CALL, with: x(size) }]],
    ["message", limits.MAX_MESSAGE_BYTES, (size) => [{ hitl_message: x(size) }]],
    ["retries", limits.MAX_ATTEMPTS - 1, (size) => [{ retries: size }]],
    ["backoff", limits.MAX_BACKOFF, (size) => [{ retry: { max_attempts: 2, backoff: size } }]],
    ["priority", limits.MAX_PRIORITY, (size) => [{ priority: size }]],
    ["delay", limits.MAX_DURATION_MS / 1000, (size) => [{ delay: size }]],
    ["id", limits.MAX_ID_CHARS, (size) => [{ id: x(size) }]],
    ["name", limits.MAX_ID_CHARS, (size) => [{}, { name: x(size) }]],
    ["version", 128, (size) => [{}, { version: x(size) }]],
  ];
  for (const [name, limit, part] of cases) {
    assert.deepEqual(problems(...part(limit)), [], `${name} of ${limit}`);
    assert.equal(problems(...part(limit + 1)).length, 1, `${name} of ${limit + 1}`);
  }
});

test("parsePipeline() stops at MAX_PROBLEMS warnings, as it does at problems", () => {
  const warnings = (count: number): number => {
    const job = (i: number): string => `- {id: j${i}, file: a.sh, args: $HOME/x}\n`;
    const jobs = Array.from({ length: count }, (_, i) => job(i)).join("");
    return parsePipeline(`name: n\njobs:\n${jobs}`).warnings.length;
  };
  assert.equal(warnings(limits.MAX_PROBLEMS - 1), limits.MAX_PROBLEMS - 1);
  assert.equal(warnings(limits.MAX_PROBLEMS), limits.MAX_PROBLEMS);
  assert.equal(warnings(limits.MAX_PROBLEMS + 1), limits.MAX_PROBLEMS);
});

test("parseDuration() reads 64 characters and no more", () => {
  assert.equal(parseDuration(`${"0".repeat(62)}1s`), 1000);
  assert.match(String(parseDuration(`${"0".repeat(63)}1s`)), /^must be a duration such as/);
});

test("a pattern in needs is answered with five names, and from 65 characters on with none", () => {
  const told = (needs: string, count: number): string => {
    const jobs = Array.from({ length: count }, (_, i) => ({ id: `w${i}`, run: "ls" }));
    return problems({ needs }, { jobs: [...jobs, { id: "a", run: "ls", needs }] }).join();
  };
  assert.match(told("w*", 5), /write \[w0, w1, w2, w3, w4\]/);
  assert.match(told("w*", 6), /write \[w0, w1, w2, w3, w4, …\]/);
  assert.match(told(`w${"*".repeat(63)}`, 2), /write \[w0, w1\]/);
  assert.doesNotMatch(told(`w${"*".repeat(64)}`, 2), /write \[/);
});

test("parseYaml() reads a text of MAX_BYTES, and counts bytes", () => {
  assert.equal(toValue(parseYaml("a".repeat(MAX_BYTES))), "a".repeat(MAX_BYTES));
  assert.doesNotThrow(() => parseYaml("é".repeat(MAX_BYTES / 2)));
  assert.throws(() => parseYaml("é".repeat(MAX_BYTES / 2) + "a"), { code: "TOO_LARGE" });
});

test("resolveScalar() calls a number of 401 digits too long, one of 400 too large", () => {
  const why = (digits: number): string => {
    const resolved = resolveScalar({ text: "9".repeat(digits), style: "plain" });
    return resolved.type === "ambiguous" ? resolved.why : resolved.type;
  };
  assert.match(why(400), /a number cannot hold it exactly/);
  assert.match(why(401), /it is too long for a number/);
  assert.equal(resolveScalar({ text: `${"9".repeat(400)}x`, style: "plain" }).type, "text");
});

test("excerpt() shows a line of MAX_EXCERPT_CHARS whole, and cuts a longer one", () => {
  const shown = (length: number): string =>
    excerpt("x".repeat(length), { line: 1, column: 1 }).split("\n")[0]!;
  assert.equal(shown(MAX_EXCERPT_CHARS), `  1 | ${"x".repeat(MAX_EXCERPT_CHARS)}`);
  assert.notEqual(shown(MAX_EXCERPT_CHARS + 1), `  1 | ${"x".repeat(MAX_EXCERPT_CHARS + 1)}`);
});
