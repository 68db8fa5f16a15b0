/** Chapter 17: a pipeline file becomes a definition, or every reason why not. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  definePipeline,
  formatDuration,
  limits,
  parseDuration,
  parsePipeline,
  PipelineError,
  splitWords,
  toYaml,
  type JobDefinition,
  type PipelineDefinition,
} from "#pipeline";

const EXAMPLES = new URL("../lessons/17-pipelines/examples/", import.meta.url);

function errorOf(make: () => unknown): PipelineError {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error;
  }
  return assert.fail("it was accepted");
}

/** The first lines of all problems: each error's headline without its excerpt. */
function headlines(text: string): string[] {
  return errorOf(() => parsePipeline(text, { file: "p.yaml" }))
    .format()
    .split("\n")
    .filter((line) => line.startsWith("p.yaml"));
}

/** A pipeline of one job with these extra lines in line 5 and on. */
function job(...lines: string[]): string {
  return [
    "name: n",
    "jobs:",
    "  - id: a",
    "    run: ls",
    ...lines.map((line) => `    ${line}`),
    "",
  ].join("\n");
}

/** The same with a file in place of run. */
function fileJob(...lines: string[]): string {
  return job(...lines).replace("run: ls", "file: a.py");
}

/** A message shows the first forty characters of a long name. */
const A40 = "a".repeat(40);

/** Text and the exact headlines. */
const REFUSED: [text: string, ...lines: string[]][] = [
  // Not YAML, or YAML that means two things.
  [job("\tpriority: 1"), "p.yaml:5:5: a tab in the indentation: use spaces"],
  [job("priority: 1", "priority: 2"), 'p.yaml:6:5: the key "priority" is already in line 5'],
  [job('hitl_message: "Ship it?'), "p.yaml:5:19: this quote is not closed"],
  [job("env: {A: b"), 'p.yaml:5:10: this bracket has no closing "}"'],
  [job("<<: *base"), 'p.yaml:5:9: alias *base has no anchor &base before it'],
  [
    job("<<: [{env: {}}, ls]"),
    'p.yaml:5:21: "<<" merges maps (*name, or a list of them), found the text "ls"',
  ],
  [
    job("run: echo a: b").replace("    run: ls\n", ""),
    'p.yaml:4:16: ": " inside a value on the line of its key: quote the value, ' +
      'write "run: |" and the text below it, or begin the map on the next line',
  ],
  [
    job("priority: !!int 3"),
    "p.yaml:5:15: tags (!name) are not supported: types come from the schema",
  ],
  // The outer shape.
  ["", "p.yaml:1:1: a pipeline must be a map with name and jobs, found nothing"],
  ["- id: a", "p.yaml:1:1: a pipeline must be a map with name and jobs, found a list"],
  ["hello", 'p.yaml:1:1: a pipeline must be a map with name and jobs, found the text "hello"'],
  ["name: n", "p.yaml:1:1: the pipeline needs jobs"],
  ["jobs: [{id: a, run: ls}]", "p.yaml:1:1: the pipeline needs a name"],
  ["name: n\njobs: []", 'p.yaml:2:7: "jobs" must not be empty'],
  ["name: n\njobs:", 'p.yaml:2:6: "jobs" must be a list, found nothing'],
  [
    "name: n\njobs: {a: {run: ls}}",
    'p.yaml:2:7: "jobs" must be a list, found a map: ' +
      'write "- id: a" and its keys below it, for each job',
  ],
  [
    "name: n\njobs: [ls]",
    "p.yaml:2:8: job 1 must be a map with id and one of file, command, run or call, " +
      'found the text "ls"',
  ],
  [
    "name: my pipeline\njobs: [{id: a, run: ls}]",
    'p.yaml:1:7: "name" must begin with a letter or digit and go on with up to 127 letters, ' +
      'digits, "_", "." or "-", found "my pipeline" (for example "my-pipeline")',
  ],
  ["name: [n]\njobs: [{id: a, run: ls}]", 'p.yaml:1:7: "name" must be text, found a list'],
  [
    "name: n\nversion:\njobs: [{id: a, run: ls}]",
    'p.yaml:2:9: "version" must be text, found nothing',
  ],
  [
    "name: n\nproject: no\njobs: [{id: a, run: ls}]",
    'p.yaml:2:10: "project" must be true or false, found the text "no": write false ' +
      "(YAML 1.1 readers take no as false, 1.2 readers as text)",
  ],
  [
    "name: n\nproject: On\njobs: [{id: a, run: ls}]",
    'p.yaml:2:10: "project" must be true or false, found the text "On": write true ' +
      "(YAML 1.1 readers take On as true, 1.2 readers as text)",
  ],
  [
    'name: n\nproject: "true"\njobs: [{id: a, run: ls}]',
    'p.yaml:2:10: "project" must be true or false, found the text "true": remove the quotes',
  ],
  [
    "name: n\njob: [{id: a, run: ls}]",
    "p.yaml:1:1: the pipeline needs jobs",
    'p.yaml:2:1: unknown key "job" (did you mean "jobs"?)',
  ],
  // Keys and ids of jobs.
  [
    job("depend_on: [a]"),
    'p.yaml:5:5: unknown key "depend_on" in job "a" (did you mean "depends_on"?)',
  ],
  [job("Priority: 1"), 'p.yaml:5:5: unknown key "Priority" in job "a" (did you mean "priority"?)'],
  [job("colour: red"), 'p.yaml:5:5: unknown key "colour" in job "a"'],
  ["name: n\njobs: [{run: ls}]", "p.yaml:2:8: job 1 needs an id"],
  [
    "name: n\njobs: [{id: ../x, run: ls}]",
    'p.yaml:2:13: "id" in job 1 must begin with a letter or digit and go on with up to 127 ' +
      'letters, digits, "_", "." or "-", found "../x" (for example "x")',
  ],
  [
    `name: n\njobs: [{id: ${"a".repeat(129)}, run: ls}]`,
    'p.yaml:2:13: "id" in job 1 must begin with a letter or digit and go on with up to 127 ' +
      `letters, digits, "_", "." or "-", found "${A40}…" (for example "${A40}…")`,
  ],
  [
    "name: n\njobs: [{id: a, run: ls}, {id: a, run: ls}]",
    'p.yaml:2:31: two jobs have the id "a"; the other is in line 2',
  ],
  // What a job does.
  [
    "name: n\njobs: [{id: a}]",
    'p.yaml:2:8: nothing to do in job "a": give it one of file, command, run or call',
  ],
  [
    job("command: [ls]"),
    'p.yaml:4:5: "run" and "command" in job "a": a job has exactly one of file, command, ' +
      "run and call",
  ],
  [job("args: x"), 'p.yaml:5:5: "args" in job "a" goes with "file" only'],
  [job("input: 1"), 'p.yaml:5:5: "input" in job "a" goes with "call" only'],
  ["name: n\njobs: [{id: a, run: }]", 'p.yaml:2:20: "run" in job "a" must be text, found nothing'],
  ["name: n\njobs: [{id: a, run: ''}]", 'p.yaml:2:21: "run" in job "a" must not be empty'],
  [
    "name: n\njobs: [{id: a, run: [ls]}]",
    'p.yaml:2:21: "run" in job "a" must be text, found a list: write run: ls',
  ],
  [
    'name: n\njobs: [{id: a, run: "\\0"}]',
    'p.yaml:2:21: "run" in job "a" must not contain the character NUL',
  ],
  [
    "name: n\njobs: [{id: a, command: ls -l}]",
    'p.yaml:2:25: "command" in job "a" must be a list, found the text "ls -l": ' +
      'write [program, argument], or use "run" for a line of shell',
  ],
  [
    "name: n\njobs: [{id: a, command: []}]",
    'p.yaml:2:25: "command" in job "a" must begin with a program',
  ],
  [
    "name: n\njobs: [{id: a, command: [ls, [x]]}]",
    'p.yaml:2:30: "command" in job "a" must be text, found a list',
  ],
  [
    "name: n\njobs: [{id: a, command: [echo, ~]}]",
    'p.yaml:2:32: "command" in job "a" must be text, found nothing: write "~" for the text',
  ],
  [
    fileJob("args: '--name \"x'"),
    'p.yaml:5:19: "args" in job "a" cannot be split into words: the quote is not closed',
  ],
  [
    fileJob("args: --name it's"),
    'p.yaml:5:20: "args" in job "a" cannot be split into words: the quote is not closed',
  ],
  [
    fileJob("args: x\\"),
    'p.yaml:5:12: "args" in job "a" cannot be split into words: ' +
      "there is nothing behind the backslash",
  ],
  [fileJob("args: {a: b}"), 'p.yaml:5:11: "args" in job "a" must be a list of texts, found a map'],
  [
    "name: n\njobs: [{id: a, file: /etc/passwd}]",
    'p.yaml:2:22: "file" in job "a" must be relative to the project, found "/etc/passwd"',
  ],
  [
    "name: n\njobs: [{id: a, file: a/../../b.py}]",
    'p.yaml:2:22: "file" in job "a" must stay inside the project, found "a/../../b.py"',
  ],
  [
    "name: n\njobs: [{id: a, file: ../p/b.py}]",
    'p.yaml:2:22: "file" in job "a" must stay inside the project, found "../p/b.py"',
  ],
  [
    "name: n\njobs: [{id: a, file: a\\b.py}]",
    'p.yaml:2:22: "file" in job "a" must be written with "/", found "a\\\\b.py"',
  ],
  [
    "name: n\njobs: [{id: a, file: 'C:/b.py'}]",
    'p.yaml:2:22: "file" in job "a" must be relative to the project, found "C:/b.py"',
  ],
  [
    "name: n\njobs: [{id: a, file: ~/b.py}]",
    'p.yaml:2:22: "file" in job "a" must be relative to the project ("~" is not expanded), ' +
      'found "~/b.py"',
  ],
  [
    "name: n\njobs: [{id: a, file: src/}]",
    'p.yaml:2:22: "file" in job "a" must name a file, found "src/"',
  ],
  [
    "name: n\njobs: [{id: a, call: lib.js}]",
    'p.yaml:2:22: "call" in job "a" must be path/module.js#function, found "lib.js"',
  ],
  [
    "name: n\njobs: [{id: a, call: titan:nop}]",
    'p.yaml:2:22: "call" in job "a" must be path/module.js#function, found "titan:nop" ' +
      '(did you mean "titan:noop"?)',
  ],
  [
    "name: n\njobs: [{id: a, call: ../lib.js#f}]",
    'p.yaml:2:22: "call" in job "a" must stay inside the project, found "../lib.js#f"',
  ],
  [
    "name: n\njobs: [{id: a, call: l.js#f, with: {mode: 0644}}]",
    'p.yaml:2:43: "with" in job "a": 0644 is ambiguous: YAML 1.1 reads 420, YAML 1.2 reads 644; ' +
      'write 644, or quote it to mean the text "0644"',
  ],
  [
    "name: n\njobs: [{id: a, call: l.js#f, with: 1, input: 2}]",
    'p.yaml:2:30: "with" in job "a" is another name for "input": give one of them',
  ],
  // More about services: 17-pipelines.services.test.ts.
  [job("port: 8080"), 'p.yaml:5:5: "port" in job "a" is for services: add "type: service"'],
  [
    job("type: cron"),
    'p.yaml:5:11: "type" in job "a" must be run or service, found the text "cron"',
  ],
  // Numbers and durations.
  [
    job("priority: high"),
    'p.yaml:5:15: "priority" in job "a" must be a whole number, found the text "high"',
  ],
  [
    job('priority: "3"'),
    'p.yaml:5:15: "priority" in job "a" must be a whole number, found the text "3": ' +
      "remove the quotes",
  ],
  [
    job("priority: 1.5"),
    'p.yaml:5:15: "priority" in job "a" must be a whole number, found the number 1.5',
  ],
  [
    job("priority: 012"),
    'p.yaml:5:15: "priority" in job "a" must be a whole number: 012 is ambiguous: ' +
      'YAML 1.1 reads 10, YAML 1.2 reads 12; write 12, or quote it to mean the text "012"',
  ],
  [
    job("priority: 1_000"),
    'p.yaml:5:15: "priority" in job "a" must be a whole number: 1_000 is ambiguous: ' +
      'YAML 1.1 reads a number, YAML 1.2 text; write 1000, or quote it to mean the text "1_000"',
  ],
  [
    job("priority: 3000000000"),
    'p.yaml:5:15: "priority" in job "a" must be -2147483647 to 2147483647, found 3000000000',
  ],
  [job("delay: -5"), 'p.yaml:5:12: "delay" in job "a" cannot be negative, found the number -5'],
  [job("delay: 31d"), 'p.yaml:5:12: "delay" in job "a" must be at most 24d, found the text "31d"'],
  [
    job("timeout: 10 minutes"),
    'p.yaml:5:14: "timeout" in job "a" must be a duration such as 90s, 10m, 1h30m or 500ms, ' +
      'found the text "10 minutes": write 10m',
  ],
  [
    job("timeout: PT1H30M"),
    'p.yaml:5:14: "timeout" in job "a" must be a duration such as 90s, 10m, 1h30m or 500ms, ' +
      'found the text "PT1H30M": write 1h30m',
  ],
  [
    job("timeout: 1:30"),
    'p.yaml:5:14: "timeout" in job "a" must be a duration such as 90s, 10m, 1h30m or 500ms, ' +
      "or a number of seconds: 1:30 is ambiguous: YAML 1.1 reads a number in base 60, " +
      'YAML 1.2 text; quote it to mean the text "1:30"',
  ],
  [
    job("timeout: 0.0001"),
    'p.yaml:5:14: "timeout" in job "a" cannot be finer than a millisecond, found the number 0.0001',
  ],
  [
    job("timeout: off"),
    'p.yaml:5:14: "timeout" in job "a" must be a duration such as 90s, 10m, 1h30m or 500ms, ' +
      'or a number of seconds, found the text "off"',
  ],
  [job("retries: -1"), 'p.yaml:5:14: "retries" in job "a" must be 0 to 999, found -1'],
  [
    job("retries: 1", "retry: {}"),
    'p.yaml:5:5: "retries" and "retry" in job "a": give one of them ' +
      "(retries: 2 is retry: {max_attempts: 3})",
  ],
  [
    job("retry: 3"),
    'p.yaml:5:12: "retry" in job "a" must be a map with max_attempts, delay, backoff, max_delay, ' +
      "jitter, found the number 3: write retries: 3 (4 attempts at most)",
  ],
  [
    job("retry: {attempts: 3}"),
    'p.yaml:5:13: unknown key "attempts" in "retry" in job "a": write max_attempts: 3',
  ],
  [
    job("retry: {max_attempt: 0}"),
    'p.yaml:5:13: unknown key "max_attempt" in "retry" in job "a" (did you mean "max_attempts"?)',
  ],
  [
    job("retry: {delay: 9s, max_delay: 5s}"),
    'p.yaml:5:35: "max_delay" in "retry" in job "a" is shorter than the first delay',
  ],
  [
    job("retry: {jitter: 1.5}"),
    'p.yaml:5:21: "jitter" in "retry" in job "a" must be 0 to 1, found 1.5',
  ],
  // Names.
  [
    job("when: allways"),
    'p.yaml:5:11: "when" in job "a" must be success or failure or always, ' +
      'found the text "allways" (did you mean "always"?)',
  ],
  [
    job("requirement: GPU, HIGH_MEM"),
    'p.yaml:5:18: "requirement" in job "a" must be a tag of letters, digits, ' +
      '"_", ".", ":" or "-", found "GPU, HIGH_MEM": write [GPU, HIGH_MEM]',
  ],
  [
    job("env: [A=b]"),
    'p.yaml:5:10: "env" in job "a" must be a map of names and texts, found a list: ' +
      "write env: {A: b}",
  ],
  [
    job("env: {1A: b}"),
    'p.yaml:5:11: "env" in job "a" has the name "1A": use letters, digits and "_", no digit first',
  ],
  [
    job("env: {TITAN_JOB: b}"),
    "p.yaml:5:11: \"env\" in job \"a\" sets TITAN_JOB: names beginning with TITAN_ are Titan's own",
  ],
  [job("env: {A: [b]}"), 'p.yaml:5:14: "env.A" in job "a" must be text, found a list'],
  [
    job("env:", "  A:"),
    'p.yaml:6:9: "env.A" in job "a" must be text, found nothing: write "" for an empty text',
  ],
  [
    job("max_wait_seconds: 5"),
    'p.yaml:5:5: "max_wait_seconds" in job "a" has no "hitl_message" to wait for',
  ],
  [
    job("hitl_message: x", "max_wait_seconds: 0"),
    'p.yaml:6:23: "max_wait_seconds" in job "a" must be more than 0: nobody could answer',
  ],
  // The graph.
  [job("depends_on: a"), 'p.yaml:5:17: job "a" depends on itself'],
  [job("needs: [b]"), 'p.yaml:5:13: unknown job "b" in depends_on of job "a"'],
  [
    job("needs: a", "depends_on: a"),
    'p.yaml:5:5: "needs" in job "a" is another name for "depends_on": give one of them',
    'p.yaml:6:17: job "a" depends on itself',
  ],
  [
    job("affinity: true"),
    'p.yaml:5:15: "affinity" in job "a" is true, but the job has no parent to stay with',
  ],
  [
    job("affinity: b"),
    'p.yaml:5:15: "affinity" in job "a" must name one of its parents, found "b"',
  ],
  [
    job("affinity: yes"),
    'p.yaml:5:15: "affinity" in job "a" must be true, false or the id of a parent, ' +
      'found the text "yes": write true (YAML 1.1 readers take yes as true, 1.2 readers as text)',
  ],
  [
    "name: n\njobs: [{id: extract, run: ls}, {id: b, run: ls, needs: [extrct]}]",
    'p.yaml:2:57: unknown job "extrct" in depends_on of job "b" (did you mean "extract"?)',
  ],
  [
    "name: n\njobs:\n- {id: a, run: ls, needs: c}\n- {id: b, run: ls, needs: [a]}\n" +
      "- {id: c, run: ls, needs: [b]}",
    "p.yaml:4:28: the jobs wait for each other: cycle a → b → c → a",
  ],
];

test("parsePipeline() refuses with the exact place and words", () => {
  for (const [text, ...lines] of REFUSED) assert.deepEqual(headlines(text), lines, text);
  assert.ok(REFUSED.length >= 60);
});

test("PipelineError carries every problem at once, in the order of the text, each " +
  "with a caret", () => {
  const text = [
    "name: nightly",
    "jobs:",
    "  - id: train",
    "    file: train.py",
    "    priority: 012",
    "    depend_on: [extract]",
    "  - id: report",
    "    run: make report",
    "    needs: [trian]",
    "    retries: many",
  ].join("\n");
  const error = errorOf(() => parsePipeline(text, { file: "pipeline.yaml" }));
  assert.equal(
    error.format(),
    [
      'pipeline.yaml:5:15: "priority" in job "train" must be a whole number: 012 is ambiguous: ' +
        'YAML 1.1 reads 10, YAML 1.2 reads 12; write 12, or quote it to mean the text "012"',
      "  5 |     priority: 012",
      "    |               ^^^",
      'pipeline.yaml:6:5: unknown key "depend_on" in job "train" (did you mean "depends_on"?)',
      "  6 |     depend_on: [extract]",
      "    |     ^^^^^^^^^",
      'pipeline.yaml:9:13: unknown job "trian" in depends_on of job "report" ' +
        '(did you mean "train"?)',
      "  9 |     needs: [trian]",
      "    |             ^^^^^",
      'pipeline.yaml:10:14: "retries" in job "report" must be a whole number, ' +
        'found the text "many"',
      "  10 |     retries: many",
      "     |              ^^^^",
    ].join("\n"),
  );
  assert.deepEqual(
    error.problems.map(({ code }) => code),
    ["WRONG_TYPE", "UNKNOWN_KEY", "MISSING_PARENT", "WRONG_TYPE"],
  );
  assert.match(error.message, /^Cannot read pipeline: pipeline\.yaml:5:15: .* \(and 3 more\)$/);
});

test("PipelineError stops at MAX_PROBLEMS problems", () => {
  const jobs = Array.from({ length: 1000 }, (_, i) => `- {id: j${i}, run: ls, nope: 1}`).join("\n");
  assert.equal(
    errorOf(() => parsePipeline(`name: n\njobs:\n${jobs}`)).problems.length,
    limits.MAX_PROBLEMS,
  );
});

test("PipelineError takes its excerpts from the end of a long text in one walk", () => {
  // A hundred walks took ten seconds.
  const jobs = "  - {run: ls, bogus: 1}\n".repeat(limits.MAX_PROBLEMS);
  const text = `name: n\njobs:\n${"\n".repeat(4_000_000)}${jobs}`;
  const start = process.cpuUsage();
  const error = errorOf(() => parsePipeline(text));
  assert.ok(process.cpuUsage(start).user < 3e6);
  // Two problems in each of the first fifty lines behind all that emptiness.
  assert.equal(
    error.problems.at(-1)?.excerpt,
    "  4000052 |   - {run: ls, bogus: 1}\n          |               ^^^^^",
  );
});

test("parsePipeline() fills in every default", () => {
  assert.deepEqual(parsePipeline("name: n\njobs: [{id: a, run: ls}]"), {
    name: "n",
    project: true,
    jobs: [
      {
        id: "a",
        action: { type: "shell", script: "ls" },
        dependsOn: [],
        requirement: [],
        priority: 1,
        delayMs: 0,
        affinity: undefined,
        when: "success",
        timeoutMs: 0,
        retry: { maxAttempts: 1, delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0.5 },
        env: {},
        gate: undefined,
      },
    ],
    warnings: [],
  });
  // With one more key a job is looked at as a whole, and the rest of it is the same.
  const plain = "name: n\njobs: [{id: a, run: ls}]";
  assert.deepEqual(parsePipeline(plain.replace("}", ", when: success}")), parsePipeline(plain));
});

test("parsePipeline() reads every field", () => {
  const oneLine =
    'id: c, command: [sh, -c, echo hi], needs: [b, "1"], affinity: b, requirement: GENERAL, ' +
    "retries: 2, hitl_message: ok, max_wait_seconds: 60";
  const text = `
name: nightly
version: 1.10
project: false
x-mine: {anything: [goes]}
jobs:
  - {id: "1", type: run, file: scripts/extract.py, args: [--rows, 1000, true, 1.50, ""]}
  - id: b
    call: lib/a.js#f
    input: {n: 1, deep: [{x: null}], "y": "012"}
    depends_on: "1"
    affinity: true
    requirement: [GPU, GENERAL, GPU, HIGH_MEM]
    priority: -3
    delay: 1.5
    when: always
    timeout: 1h30m
    retry: {max_attempts: 5, delay: 2m, jitter: 0}
    env: {A: 012, B: no, C: "", _d: 1.0, __proto__: x}
    hitl_message: Ship it?
    x-note: mine
  - {${oneLine}}
`;
  const { version, project, jobs, warnings } = parsePipeline(text);
  assert.deepEqual([version, project, warnings], ["1.10", false, []]);
  assert.deepEqual(
    definePipeline({ name: "n", jobs: [{ id: "a", call: "titan:sleep", input: 5 }] }).jobs[0]
      ?.action,
    { type: "call", target: "titan:sleep", input: 5 },
  );
  assert.deepEqual(jobs[0]?.action, {
    type: "file",
    file: "scripts/extract.py",
    args: ["--rows", "1000", "true", "1.50", ""],
  });
  const env = Object.fromEntries([["A", "012"], ["B", "no"], ["C", ""], ["_d", "1.0"]]);
  Object.defineProperty(env, "__proto__", {
    value: "x",
    enumerable: true,
    writable: true,
    configurable: true,
  });
  assert.deepEqual(jobs[1], {
    id: "b",
    action: { type: "call", target: "lib/a.js#f", input: { n: 1, deep: [{ x: null }], y: "012" } },
    dependsOn: ["1"],
    requirement: ["GPU", "HIGH_MEM"],
    priority: -3,
    delayMs: 1500,
    affinity: "1",
    when: "always",
    timeoutMs: 5_400_000,
    retry: { maxAttempts: 5, delayMs: 120_000, backoff: 2, maxDelayMs: 120_000, jitter: 0 },
    env,
    gate: { message: "Ship it?", maxWaitMs: 172_800_000 },
  });
  const c = jobs[2] as JobDefinition;
  assert.deepEqual(
    [c.action, c.dependsOn, c.affinity, c.requirement, c.retry.maxAttempts, c.gate],
    [
      { type: "command", argv: ["sh", "-c", "echo hi"] },
      ["b", "1"],
      "b",
      [],
      3,
      { message: "ok", maxWaitMs: 60_000 },
    ],
  );
});

test("parsePipeline() warns about what is legal but looks like a slip", () => {
  const text =
    "name: n\njobs:\n- {id: a, file: a.sh, args: $HOME/x}\n" +
    "- {id: b, call: b.js#f, with: {dry: no}, needs: [a, a]}\n";
  const { jobs, warnings } = parsePipeline(text, { file: "p.yaml" });
  assert.deepEqual(warnings, [
    'p.yaml:3:29: "args" in job "a" contains $HOME, which only a shell would expand: ' +
      'use "run" for that',
    'p.yaml:4:53: "needs" in job "b" names "a" twice',
    'p.yaml:4:37: "with" in job "b": no is the text "no"; write false for the boolean, or quote it',
  ]);
  assert.deepEqual(jobs[1]?.dependsOn, ["a"]);
});

test("parsePipeline() warns of a script that another tool would have changed " +
  "before it runs", () => {
  const warnings = (...lines: string[]) => {
    const text = ["name: n", "jobs:", "- id: a", ...lines].join("\n");
    return parsePipeline(text, { file: "p" }).warnings;
  };
  assert.deepEqual(warnings("  run: echo ${{ matrix.os }}"), [
    'p:4:8: "run" in job "a" contains ${{ matrix.os }}, which nothing replaces: ' +
      "set a variable in env, and write $NAME (docs/pipelines.md)",
  ]);
  assert.deepEqual(warnings("  run: |", "    #!/usr/bin/env python", "    print(1)"), [
    'p:4:8: "run" in job "a" begins with "#!", which nobody reads here: write shell: python3',
  ]);
  assert.deepEqual(
    warnings("  shell: bash", "  run: |", "    #!/bin/bash", "    echo ${HOME} {{x}}"),
    [],
  );
  assert.deepEqual(warnings('  run: "ls\\r\\nls"'), [
    'p:4:8: "run" in job "a" has Windows line ends (\\r\\n): ' +
      "sh takes the \\r as part of the line; end lines with \\n",
  ]);
  assert.deepEqual(warnings("  shell: node", '  run: "1\\r\\n2"'), [], "other languages take both");
  assert.deepEqual(
    warnings("  run: |\r", "    ls\r", "    ls\r", ""),
    [],
    "those of the file are taken off",
  );
});

test("parsePipeline() reads shell, of the pipeline and of the job, and refuses " +
  "it without run", () => {
  const text =
    "name: n\nshell: bash\njobs:\n- {id: a, run: ls}\n- {id: b, run: ls, shell: sh}\n" +
    "- {id: c, run: ls, shell: node}\n- {id: d, command: [ls]}\n";
  assert.deepEqual(parsePipeline(text).jobs.map(({ action }) => action), [
    { type: "shell", script: "ls", shell: "bash" },
    { type: "shell", script: "ls" },
    { type: "shell", script: "ls", shell: "node" },
    { type: "command", argv: ["ls"] },
  ]);
  assert.deepEqual(
    headlines(fileJob("shell: bash")),
    ['p.yaml:5:5: "shell" in job "a" goes with "run" only'],
  );
});

test("a key of another tool stands for ours, and others may name the job by it", () => {
  const text = "name: n\njobs:\n- {name: a, script: ls}\n- {id: b, run: ls, needs: [a]}\n";
  assert.deepEqual(headlines(text), [
    'p.yaml:3:4: unknown key "name" in job "a": write id: a',
    'p.yaml:3:13: unknown key "script" in job "a": write run: ls',
  ]);
});

test("parsePipeline() reads JSON", () => {
  const value = {
    name: "n",
    jobs: [
      { id: "a", run: "x\n\ty\u0000".slice(0, 4) },
      { id: "b", call: "b.js#f", input: { k: [1, "é😀\u2028"] }, needs: ["a"] },
    ],
  };
  for (const indent of [undefined, 2, "\t"]) {
    assert.deepEqual(parsePipeline(JSON.stringify(value, null, indent)), definePipeline(value));
  }
});

test("definePipeline() applies the same rules to a plain object, without places", () => {
  const error = errorOf(() =>
    definePipeline({ name: "n", jobs: [{ id: "a", run: "ls", depend_on: ["b"], priority: "3" }] }),
  );
  assert.equal(
    error.format(),
    '<pipeline>: unknown key "depend_on" in job "a" (did you mean "depends_on"?)\n<pipeline>: ' +
      '"priority" in job "a" must be a whole number, found the text "3": remove the quotes',
  );
  const env = { A: "no", B: "012", C: undefined };
  assert.deepEqual(
    definePipeline({ name: "n", jobs: [{ id: "a", run: "ls", env }] }).jobs[0]?.env,
    { A: "no", B: "012" },
  );
});

test("definePipeline() refuses what JSON cannot hold, naming where it is", () => {
  const around = (input: unknown) => ({ name: "n", jobs: [{ id: "a", call: "a.js#f", input }] });
  const loop: unknown[] = [];
  loop.push(loop);
  const cases: [unknown, RegExp][] = [
    [{ f: () => 1 }, /a function at jobs\.0\.input\.f$/],
    [10n, /a bigint at jobs\.0\.input$/],
    [NaN, /NaN at/],
    [new Date(0), /an object that is not plain at/],
    [new Map(), /not plain/],
    ["\ud800", /half of a character at/],
    [[undefined], /undefined at jobs\.0\.input\.0$/],
    [loop, /more than 64 levels \(does it contain itself\?\)/],
  ];
  for (const [input, message] of cases) {
    assert.match(errorOf(() => definePipeline(around(input))).message, message);
  }
  for (const value of [undefined, null, 1, "name: n", [], () => 1]) {
    errorOf(() => definePipeline(value));
  }
});

test("splitWords() splits as a shell does, and expands nothing", () => {
  const cases: [string, string[]][] = [
    ["", []],
    ["  a\tb\nc ", ["a", "b", "c"]],
    [`'a b' "c d"e\\ f`, ["a b", "c de f"]],
    [`"" ''`, ["", ""]],
    [`"a\\"b" "c\\d" '\\'`, ['a"b', "c\\d", "\\"]],
    [`it\\'s`, ["it's"]],
    ["a;b|c *.py ~", ["a;b|c", "*.py", "~"]],
    [`a'b'"c"`, ["abc"]],
    [`"'" '"'`, ["'", '"']],
  ];
  for (const [text, words] of cases) assert.deepEqual(splitWords(text), { words }, text);
  assert.deepEqual(splitWords(`a "b`), { problem: "the quote is not closed", at: 2 });
  assert.deepEqual(splitWords(`a '`), { problem: "the quote is not closed", at: 2 });
  assert.deepEqual(splitWords("a\\"), { problem: "there is nothing behind the backslash", at: 1 });
  assert.deepEqual(splitWords(`'$A' \\$B "\\$C" $5 $`), { words: ["$A", "$B", "$C", "$5", "$"] });
  assert.deepEqual(splitWords(`"\${A}"`), { words: ["${A}"], expansion: "${A}" });
});

test("parseDuration() reads units and refuses what it would have to round", () => {
  const cases: [string, number][] = [
    ["90s", 90_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["500ms", 500],
    ["1d", 86_400_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1m30s250ms", 90_250],
    ["0s", 0],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  for (const text of [
    "",
    "10",
    "s",
    "1 s",
    "30m1h",
    "1h1h",
    "1.2.3s",
    "1e3s",
    "-1s",
    "0.5ms",
    "ms",
    "1S",
    "1h30",
    "9".repeat(100),
  ]) {
    assert.equal(typeof parseDuration(text), "string", text);
  }
  for (const ms of [0, 1, 999, 1000, 90_250, limits.MAX_DURATION_MS]) {
    assert.equal(parseDuration(formatDuration(ms)), ms);
  }
});

function randomness(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A valid definition with something unusual in every place. */
function randomDefinition(random: (below: number) => number): PipelineDefinition {
  const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
  const text = () =>
    pick([
      "a",
      "no",
      "012",
      "a b",
      "x: y",
      "#",
      "line\nline\n",
      " \n x",
      "é😀",
      '"',
      "'",
      "~",
      "- x",
      "\\n",
      "\t",
      "null",
      "1_0",
      "%",
    ]);
  const value = (depth: number): unknown =>
    pick<() => unknown>([
      text,
      () => random(1e6) / 8,
      () => true,
      () => null,
      () => (depth ? [value(depth - 1), value(depth - 1)] : []),
      () => (depth ? { [text()]: value(depth - 1) } : {}),
    ])();
  const actions: (() => JobDefinition["action"])[] = [
    () => ({
      type: "file",
      file: pick(["a.py", "no", "x y/012.sh"]),
      args: [text(), ""].slice(random(3)),
    }),
    () => ({ type: "command", argv: ["sh", text()] }),
    () => ({ type: "shell", script: text() }),
    () => ({ type: "shell", script: text(), shell: pick(["bash", "python3", "node"]) }),
    () => ({ type: "call", target: "l/m.js#f", input: value(3) }),
  ];
  const ids = ["1", "no", "a", "null", "x.y-z", "012"].slice(0, 1 + random(6));
  const jobs = ids.map((id, i): JobDefinition => {
    const dependsOn = ids.slice(0, i).filter(() => random(2) === 0);
    const delayMs = random(100_000);
    return {
      id,
      action: pick(actions)(),
      dependsOn,
      requirement: ["GPU", "on", "8"].slice(random(4)),
      priority: random(20) - 10,
      delayMs: random(3) * 1250,
      affinity: random(2) ? pick(dependsOn) : undefined,
      when: pick(["success", "failure", "always"]),
      timeoutMs: random(2) * random(10_000_000),
      retry: pick([
        { maxAttempts: 1 + random(5), delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0.5 },
        { maxAttempts: 2, delayMs, backoff: 1.5, maxDelayMs: delayMs + random(9), jitter: 0.25 },
      ]),
      env: random(2) ? { A: text(), no: "", y: text() } : {},
      gate: random(2) ? { message: text(), maxWaitMs: pick([172_800_000, 1, 1500]) } : undefined,
    };
  });
  return {
    name: pick(["n", "007", "off"]),
    ...(random(2) ? { version: text() } : {}),
    project: random(2) === 0,
    jobs,
    warnings: [],
  };
}

test("toYaml() round trip: parsePipeline(toYaml(definition)) equals the definition", () => {
  const seed = 17;
  const random = randomness(seed);
  for (let round = 0; round < 500; round++) {
    const definition = randomDefinition(random);
    const text = toYaml(definition);
    assert.deepEqual(parsePipeline(text), definition, `seed ${seed}, round ${round}:\n${text}`);
  }
});

test("parsePipeline() reads the example pipelines, and toYaml() gives them back", () => {
  for (const name of readdirSync(EXAMPLES)) {
    const definition = parsePipeline(readFileSync(new URL(name, EXAMPLES), "utf8"), { file: name });
    assert.deepEqual(definition.warnings, [], name);
    assert.deepEqual(parsePipeline(toYaml(definition)), definition, name);
  }
});

test("parsePipeline() answers any mutation of a valid file with a definition " +
  "or a PipelineError", () => {
  const texts = readdirSync(EXAMPLES).map((name) => readFileSync(new URL(name, EXAMPLES), "utf8"));
  const junk = [
    "\t",
    " ",
    "\n",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "#",
    "&a ",
    "*env",
    "|",
    ">",
    "0",
    "~",
    "no",
    "\0",
    "é",
    "<<: ",
    "? ",
    "---\n",
    "\\",
    ",",
    "!x ",
  ];
  const seed = 424_242;
  const random = randomness(seed);
  const start = process.cpuUsage();
  for (let round = 0; round < 3000; round++) {
    let text = texts[random(texts.length)] as string;
    for (let changes = 1 + random(3); changes > 0; changes--) {
      const from = random(text.length);
      text =
        text.slice(0, from) +
        (random(3) ? junk[random(junk.length)] : "") +
        text.slice(from + random(4));
    }
    try {
      parsePipeline(text);
    } catch (error) {
      assert.ok(
        error instanceof PipelineError,
        `seed ${seed}, round ${round}: ${String(error)}\n${text}`,
      );
      assert.ok(error.format().length > 0);
    }
  }
  assert.ok(process.cpuUsage(start).user < 20e6, "it hangs");
});

test("parsePipeline() reads ten thousand jobs that form one chain", () => {
  const jobs = Array.from(
    { length: 10_000 },
    (_, i) => `- {id: j${i}, run: ls, needs: [${i ? `j${i - 1}` : ""}]}`,
  );
  assert.equal(parsePipeline(`name: n\njobs:\n${jobs.join("\n")}`).jobs.length, 10_000);
  jobs[0] = "- {id: j0, run: ls, needs: j9999}";
  const error = errorOf(() => parsePipeline(`name: n\njobs:\n${jobs.join("\n")}`));
  assert.equal(error.code, "CYCLE");
  assert.ok(error.message.length < 300);
});
