/**
 * Chapter 16: the rules of a gate: its form, who may answer, how many must, and what silence does.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  castAnswer, closeAtDeadline, formProblem, personOf, readForm, rulesProblem, typedValues,
  type Answer,
} from "#gates";
import {
  MAX_FIELD_BYTES, MAX_FORM_BYTES, PLAIN_RULES, type FormField, type Gate, type GateRules,
  type GateVote,
} from "#wire";

const field = (name: string, fields: Partial<FormField> = {}): FormField =>
  ({ name, type: "text", label: "", choices: [], required: false, ...fields });
const FORM = [
  field("tag", { required: true }),
  field("share", { type: "number", default: "10" }),
  field("region", { type: "choice", choices: ["eu", "us"] }),
  field("canary", { type: "boolean" }),
];
const gate = (rules: Partial<GateRules> = {}): Gate =>
  ({ message: "Ship it?", maxWaitMs: 60_000, rules: { ...PLAIN_RULES, ...rules } });
const vote = (by: string, values: Record<string, string> = {}): GateVote =>
  ({ by, comment: "", values, at: 1 });
const yes = (by: string, values: Record<string, string> = {}): Answer =>
  ({ approve: true, by, values });
const no = (by: string): Answer => ({ approve: false, by, values: {} });
const fresh = { votes: [], submitter: "" };

// ── the form ─────────────────────────────────────────────────────────────────────────────────────

test("readForm() checks each value, and gives each one spelling", () => {
  const given = { tag: " v2 ", share: " 1e1 ", region: "eu", canary: "Yes" };
  const expected = { tag: " v2 ", share: "10", region: "eu", canary: "true" };
  assert.deepEqual(readForm(FORM, given), { values: expected });
  assert.deepEqual(typedValues(FORM, expected), {
    tag: " v2 ", share: 10, region: "eu", canary: true,
  });
  for (const word of ["true", "y", "ON", "1"]) {
    const read = readForm([field("b", { type: "boolean" })], { b: word });
    assert.deepEqual(read, { values: { b: "true" } }, word);
  }
  for (const word of ["false", "N", "off", "0", "no"]) {
    const read = readForm([field("b", { type: "boolean" })], { b: word });
    assert.deepEqual(read, { values: { b: "false" } }, word);
  }
});

test("readForm() takes the default of a field that is not filled in, or leaves it out", () => {
  assert.deepEqual(readForm(FORM, { tag: "v2" }), { values: { tag: "v2", share: "10" } });
  assert.deepEqual(typedValues(FORM, { tag: "v2" }), { tag: "v2" });
});

test("readForm() takes no name for a value that nobody has given", () => {
  for (const name of ["constructor", "toString", "__proto__"]) {
    assert.deepEqual(readForm([field(name)], {}), { values: {} }, name);
  }
});

test("readForm() says in words what is wrong", () => {
  const problem = (given: Record<string, string>): string => {
    const read = readForm(FORM, given);
    assert.ok("problem" in read, JSON.stringify(read));
    return read.problem;
  };
  assert.equal(problem({}), 'field "tag" is required');
  assert.equal(
    problem({ tga: "v2" }),
    'it has no field "tga" (did you mean "tag"?): its fields are tag, share, region, canary',
  );
  assert.equal(problem({ tag: "", share: "ten" }), 'field "share" must be a number, found "ten"');
  for (const share of ["", " ", "Infinity", "NaN", "1,5"]) {
    assert.match(problem({ tag: "", share }), /field "share" must be a number/, share);
  }
  assert.equal(
    problem({ tag: "", region: "us " }),
    'field "region" must be one of eu, us, found "us " (did you mean "us"?)',
  );
  const maybe = 'field "canary" must be yes or no, found "maybe"';
  assert.equal(problem({ tag: "", canary: "maybe" }), maybe);
  assert.match(problem({ tag: "x".repeat(5000) }), /takes 4096 bytes a field and 8192 in all/);
  const none = readForm([], { tag: "v2" });
  assert.deepEqual(none, { problem: 'it has no field "tag": it asks for no fields' });
});

test("readForm() bounds a field and the form in bytes, to the byte", () => {
  const form = [field("a"), field("b"), field("c")];
  const most = "x".repeat(MAX_FIELD_BYTES);
  assert.equal(2 * MAX_FIELD_BYTES, MAX_FORM_BYTES);
  assert.ok("values" in readForm(form, { a: most, b: most }));
  assert.ok("problem" in readForm(form, { a: `${most}x` }));
  assert.ok("problem" in readForm(form, { a: most, b: most, c: "x" }));
  assert.ok("problem" in readForm(form, { a: "é".repeat(MAX_FIELD_BYTES / 2 + 1) }));
});

test("formProblem() knows a form that nobody could fill in", () => {
  assert.equal(formProblem(FORM), undefined);
  const wrong: [FormField, RegExp][] = [
    [field("1st"), /field "1st": a name begins with a letter/],
    [field("__proto__"), /a name begins/],
    [field("tag"), /two fields "tag"/],
    [field("x", { type: "choice" }), /a choice "x" of nothing/],
    [field("x", { choices: ["a"] }), /choices for field "x", which is a text/],
    [field("x", { type: "number", default: "ten" }), /a default that does not fit: field "x"/],
    [field("x", { type: "choice", choices: ["a"], default: "b" }), /must be one of a, found "b"/],
  ];
  for (const [bad, expected] of wrong) assert.match(formProblem([...FORM, bad]) ?? "", expected);
});

// ── answers ──────────────────────────────────────────────────────────────────────────────────────

test("castAnswer() closes a plain gate with the first answer, whoever gives it", () => {
  assert.deepEqual(castAnswer(gate(), yes("ada"), fresh), {
    type: "closed", outcome: "approved", values: {},
  });
  assert.deepEqual(castAnswer(gate(), no(""), fresh), {
    type: "closed", outcome: "rejected", values: {},
  });
  const plain = { message: "", maxWaitMs: 1 };
  assert.equal(castAnswer(plain, yes(""), fresh).type, "closed");
});

test("castAnswer() hears approvers alone, by name on any machine or by name and machine", () => {
  const asked = gate({ approvers: ["ada", "bob@desk"] });
  for (const by of ["ada", "ada@desk", "ada@laptop", "bob@desk"]) {
    assert.equal(castAnswer(asked, yes(by), fresh).type, "closed", by);
    assert.equal(castAnswer(asked, no(by), fresh).type, "closed", by);
  }
  for (const by of ["bob", "bob@laptop", "adam", "Ada", "", "x@ada"]) {
    const cast = castAnswer(asked, no(by), fresh);
    assert.ok(cast.type === "refused", by);
    assert.match(cast.why, /is none of its approvers \(ada, bob@desk\)/);
  }
});

test("castAnswer() counts people: one of several, each once, and one rejection is enough", () => {
  const two = gate({ required: 2 });
  const counted = { type: "counted", missing: 1, values: {} };
  assert.deepEqual(castAnswer(two, yes("ada@a"), fresh), counted);
  const so = { votes: [vote("ada@a")], submitter: "" };
  assert.deepEqual(castAnswer(two, yes("ada@b"), so), { type: "repeated", missing: 1 });
  assert.equal(castAnswer(two, yes("bob"), so).type, "closed");
  const rejected = castAnswer(two, no("ada@b"), so);
  assert.ok(rejected.type === "closed" && rejected.outcome === "rejected");
  const three = gate({ required: 3 });
  assert.deepEqual(castAnswer(three, yes("bob"), so), counted);
  assert.equal(castAnswer(three, no("bob"), fresh).type, "closed", "the first word may be a no");
});

test("castAnswer() lets nobody approve an own run, if the gate says so", () => {
  const strict = gate({ selfApproval: false });
  const so = { votes: [], submitter: "ada@desk" };
  const cast = castAnswer(strict, yes("ada@laptop"), so);
  assert.ok(cast.type === "refused" && /ada@laptop submitted the run/.test(cast.why));
  assert.equal(castAnswer(strict, no("ada@laptop"), so).type, "closed");
  assert.equal(castAnswer(strict, yes("bob"), so).type, "closed");
  assert.equal(castAnswer(gate(), yes("ada@desk"), so).type, "closed");
  // Nobody known has submitted it, and nobody known answers: that may be one person.
  assert.equal(castAnswer(strict, yes(""), fresh).type, "refused");
});

test("castAnswer() wants all approvals to be of the same values; silence about one agrees", () => {
  const asked = gate({ required: 2, form: FORM });
  const values = { tag: "v2", share: "10" };
  assert.deepEqual(castAnswer(asked, yes("ada", { tag: "v2" }), fresh), {
    type: "counted", missing: 1, values,
  });
  const so = { votes: [vote("ada", values)], submitter: "" };
  assert.deepEqual(castAnswer(asked, yes("bob"), so), {
    type: "closed", outcome: "approved", values,
  });
  assert.equal(castAnswer(asked, yes("bob", { share: "1e1" }), so).type, "closed");
  const other = castAnswer(asked, yes("bob", { share: "50" }), so);
  assert.ok(other.type === "refused" && /ada has approved it with share=10/.test(other.why));
  const more = castAnswer(asked, yes("bob", { region: "eu" }), so);
  assert.ok(more.type === "refused" && /ada has approved it without region/.test(more.why));
});

test("castAnswer() refuses an approval that does not fit the form, and lets a rejection be", () => {
  const asked = gate({ form: FORM });
  const cast = castAnswer(asked, yes("ada"), fresh);
  assert.deepEqual(cast, { type: "refused", why: 'field "tag" is required' });
  assert.equal(castAnswer(asked, no("ada"), fresh).type, "closed");
});

test("personOf() is the name before the machine", () => {
  assert.equal(personOf("ada@desk"), "ada");
  assert.equal(personOf("ada"), "ada");
  assert.equal(personOf("ada@x@y\nz"), "ada");
});

// ── silence ──────────────────────────────────────────────────────────────────────────────────────

test("closeAtDeadline() fails closed, unless the author wrote something else", () => {
  const comment = "nobody answered within 60.0s";
  assert.deepEqual(closeAtDeadline(gate(), []), { outcome: "rejected", values: {}, comment });
  assert.deepEqual(closeAtDeadline({ message: "", maxWaitMs: 60_000 }, []), {
    outcome: "rejected", values: {}, comment,
  });
  assert.deepEqual(closeAtDeadline(gate({ onTimeout: "skip" }), []), {
    outcome: "skipped", values: {}, comment,
  });
  const form = [field("share", { type: "number", default: "10" })];
  assert.deepEqual(closeAtDeadline(gate({ onTimeout: "approve", form }), []), {
    outcome: "approved", values: { share: "10" }, comment,
  });
});

test("closeAtDeadline() says how many have approved, and keeps what they filled in", () => {
  const asked = gate({ required: 3, onTimeout: "approve", form: [field("tag")] });
  const closed = closeAtDeadline(asked, [vote("ada", { tag: "v2" })]);
  assert.deepEqual(closed, {
    outcome: "approved", values: { tag: "v2" }, comment: "1 of 3 approvals within 60.0s",
  });
  const open = gate({ onTimeout: "approve", form: [field("tag", { required: true })] });
  assert.deepEqual(closeAtDeadline(open, []), {
    outcome: "rejected", values: {}, comment: 'field "tag" is required',
  });
});

test("rulesProblem() knows a gate that nobody could open", () => {
  const wrong: [Partial<GateRules>, RegExp | undefined][] = [
    [{}, undefined],
    [{ approvers: ["ada", "bob"], required: 2 }, undefined],
    [{ approvers: ["ada", "bob"], required: 3 }, /needs 3 approvals, and has 2 approvers/],
    [{ approvers: ["ada", "ada"] }, /names an approver twice/],
    [{ approvers: [""] }, /an approver without a name/],
    [{ required: 0 }, /at least one approval/],
    [{ form: [field("1")] }, /a name begins/],
    [{ form: FORM, onTimeout: "approve" }, /approves itself in the end, and field "tag"/],
  ];
  for (const [rules, expected] of wrong) {
    const found = rulesProblem({ ...PLAIN_RULES, ...rules });
    if (expected === undefined) assert.equal(found, undefined);
    else assert.match(found ?? "", expected);
  }
});
