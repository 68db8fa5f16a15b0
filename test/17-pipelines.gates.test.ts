/**
 * Chapter 17: the keys of gates: what they give, and how mistakes in them are told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rulesProblem } from "#gates";
import {
  definePipeline, limits, parsePipeline, PipelineError, toYaml, type GateDefinition,
} from "#pipeline";
import { toSpec } from "#sdk";
import * as wire from "#wire";

/** A pipeline of one job, with these lines under `hitl`. */
const asks = (...lines: string[]): string =>
  ["name: n", "jobs:", "  - id: a", "    run: ls", "    hitl:", '      message: "Ship it?"',
    ...lines.map((line) => `      ${line}`)].join("\n");

const read = (text: string): GateDefinition => parsePipeline(text).jobs[0]!.gate!;

/** The first problem of a pipeline, from its place on. */
function problem(text: string): string {
  try {
    parsePipeline(text, { file: "p.yaml" });
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error.format().split("\n")[0]!;
  }
  throw new Error(`no problem in\n${text}`);
}

const FULL = asks(
  "form:",
  "  - {name: share, type: number, default: 10, label: Percent of users, required: true}",
  "  - {name: region, choices: [eu, us]}",
  "  - {name: canary, type: boolean, default: yes}",
  "  - {name: why}",
  "approvers: [ada, bob@desk]", "required: 2", "timeout: 2h", "on_timeout: skip",
  "self_approval: false", "notify: {command: [./page.sh, ops]}",
);

test("a gate has every default, in the short form and in the full one", () => {
  const waits = limits.DEFAULT_GATE_WAIT_MS;
  assert.deepEqual(read('{name: n, jobs: [{id: a, run: ls, hitl_message: "Ship it?"}]}'), {
    message: "Ship it?", maxWaitMs: waits,
  });
  assert.deepEqual(read(asks()), {
    message: "Ship it?", maxWaitMs: waits, rules: wire.PLAIN_RULES,
  });
  assert.equal(parsePipeline("{name: n, jobs: [{id: a, run: ls}]}").jobs[0]!.gate, undefined);
});

test("every key of a gate is read, and passes the master's own check", () => {
  const { message, maxWaitMs, rules } = read(FULL);
  assert.deepEqual([message, maxWaitMs], ["Ship it?", 7_200_000]);
  const field = { type: "text", label: "", choices: [], default: undefined, required: false };
  assert.deepEqual(rules, {
    form: [
      { ...field, name: "share", type: "number", default: "10", label: "Percent of users",
        required: true },
      { ...field, name: "region", type: "choice", choices: ["eu", "us"] },
      { ...field, name: "canary", type: "boolean", default: "yes" },
      { ...field, name: "why" },
    ],
    approvers: ["ada", "bob@desk"], required: 2, onTimeout: "skip", selfApproval: false,
    notify: { type: "command", argv: ["./page.sh", "ops"] },
  });
  assert.equal(rulesProblem(rules!), undefined);
  assert.deepEqual(read(asks("approvers: ada")).rules!.approvers, ["ada"]);
});

test("a gate survives YAML, JSON, the builder and the wire", () => {
  const definition = parsePipeline(FULL);
  assert.deepEqual(parsePipeline(toYaml(definition)).jobs, definition.jobs);
  const built = definePipeline({
    name: "n",
    jobs: [{ id: "a", run: "ls", hitl: { message: "Ship it?", form: [{ name: "why" }] } }],
  });
  assert.equal(built.jobs[0]!.gate!.rules!.form[0]!.name, "why");
  const spec = toSpec(definition);
  const [travelled] = wire.PipelineSpec.decode(wire.PipelineSpec.encode(spec)).jobs;
  assert.deepEqual(travelled!.gate, spec.jobs[0]!.gate);
  assert.deepEqual(travelled!.gate, definition.jobs[0]!.gate);
  const plain = parsePipeline(toYaml(parsePipeline(asks())));
  assert.deepEqual(plain.jobs[0]!.gate, read(asks()));
});

test("mistakes are told with their place and a way out", () => {
  const cases: [string, RegExp][] = [
    [asks("form: share"), /^p\.yaml:7:13: "form" in "hitl" in job "a" must be a list of fields/],
    [asks("form: [share]"), /"form" .* must be a list of maps with name and type/],
    [asks("form: [{type: text}]"), /"name" in "form" in "hitl" in job "a" is missing/],
    [asks("form: [{name: 1st}]"), /"name" .* begins with a letter .*, found "1st"/],
    [asks("form: [{name: a}, {name: a}]"), /"name" .* is that of another field: "a"/],
    [asks("form: [{name: a, typ: text}]"), /unknown key "typ" .*\(did you mean "type"\?\)/],
    [asks("form: [{name: a, type: choice}]"), /is choice, and "choices" has nothing to choose/],
    [asks("form: [{name: a, type: text, choices: [b]}]"), /is for a choice, .* is a text/],
    [asks("form: [{name: a, type: number, default: ten}]"), /"default" .* must be a number, found/],
    [asks("form: [{name: a, choices: [b], default: c}]"), /must be one of b, found/],
    [asks("form: [{name: a, type: flag}]"), /must be text or number or choice or boolean/],
    [asks("approvers: [ada, ada]"), /"approvers" in "hitl" in job "a" names "ada" twice/],
    [asks("approvers: [ada]", "required: 2"), /"required" .* must be 1 to 1, found 2/],
    [asks("required: 0"), /must be 1 to 100, found 0/],
    [asks("notify: page.sh"), /"notify" .* must be a map .*: write {webhook: "page.sh"}/],
    [asks("notify: {}"), /"notify" .* wants either command or webhook, and has neither/],
    [asks("notify: {command: [a], webhook: 'https://a'}"), /command or webhook, and has both/],
    [asks("notify: {command: []}"), /"command" in "notify" .* names no program/],
    [asks("notify: {webhook: ops.example.org}"), /"webhook" .* an http or https address/],
    [asks("notify: {webhook: $HOME}"), /"webhook" .* \$TITAN_NOTIFY_OPS/],
    [asks("notify: {webhook: 'https://a:b@c'}"), /has no user and no password/],
    [asks("timeout: 0"), /must be more than 0: nobody could answer/],
    [asks("on_timeout: aprove"), /must be reject or approve or skip.*did you mean "approve"/],
    [asks("on_timeout: approve", "form: [{name: a, required: true}]"),
      /"on_timeout" .* is approve, and field "a" is required and has no default/],
    [asks("wait: 2h"), /unknown key "wait" in "hitl" in job "a"/],
    ["name: n\njobs:\n  - {id: a, run: ls, hitl: {timeout: 2h}}", /"message" .* is missing/],
    ["name: n\njobs:\n  - {id: a, run: ls, hitl: Ship it}", /write hitl_message: "Ship it"/],
    ["name: n\njobs:\n  - {id: a, run: ls, hitl: {message: a}, hitl_message: b}",
      /"hitl_message" in job "a" stands beside "hitl": write message there/],
    ["name: n\njobs:\n  - {id: a, run: ls, hitl: {message: a}, max_wait_seconds: 5}",
      /"max_wait_seconds" in job "a" stands beside "hitl": write timeout there/],
    ["name: n\njobs:\n  - {id: a, run: ls, type: service, hitl: {message: a}}",
      /"hitl" in job "a" is not for services/],
  ];
  for (const [text, expected] of cases) assert.match(problem(text), expected, text);
  const many = `form: [${Array.from({ length: 33 }, (_, i) => `{name: f${i}}`).join(", ")}]`;
  assert.match(problem(asks(many)), /"form" .* has more than 32 fields/);
});

test("the limits of the reader are those of the wire", () => {
  for (const name of [
    "MAX_FORM_FIELDS", "MAX_CHOICES", "MAX_FIELD_BYTES", "MAX_LABEL_BYTES", "MAX_APPROVERS",
    "MAX_PERSON_BYTES", "MAX_NOTIFY_ARGS", "MAX_NOTIFY_ARG_BYTES", "MAX_URL_BYTES",
  ] as const) assert.equal(limits[name], wire[name], name);
});
