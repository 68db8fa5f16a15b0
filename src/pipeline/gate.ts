/**
 * Lesson 17: the keys of a gate (lesson 16 says what they mean).
 *
 *     hitl_message: "Ship it?"        a question; yes or no
 *     hitl:                           the full form
 *       message: "Ship it?"
 *       form: [{name: share, type: number, default: 10}, {name: region, choices: [eu, us]}]
 *       approvers: [ada, bob]
 *       required: 2
 *       timeout: 48h
 *       on_timeout: reject
 *       self_approval: false
 *       notify: {command: [./page.sh, ops]}
 *
 * Invariant: what is returned has passed the same check that the master makes (#gates).
 * Test: test/17-pipelines.gates.test.ts
 */
import { webhookProblem } from "#base";
import type { MappingNode, YamlNode } from "#yaml";
import { describe, Fields } from "./fields.ts";
import {
  DEFAULT_GATE_WAIT_MS, MAX_APPROVERS, MAX_CHOICES, MAX_FIELD_BYTES, MAX_FORM_FIELDS,
  MAX_LABEL_BYTES, MAX_MESSAGE_BYTES, MAX_NOTIFY_ARG_BYTES, MAX_NOTIFY_ARGS, MAX_PERSON_BYTES,
  MAX_URL_BYTES,
} from "./limits.ts";
import type {
  FieldDefinition, GateDefinition, GateRulesDefinition, NotifyDefinition,
} from "./types.ts";

export const GATE_KEYS = [
  "message", "form", "approvers", "required", "timeout", "on_timeout", "self_approval", "notify",
] as const;
export const NOTIFY_KEYS = ["command", "webhook"] as const;
export const FIELD_KEYS = ["name", "type", "label", "choices", "default", "required"] as const;

const TYPES = ["text", "number", "choice", "boolean"] as const;

export function readGate(fields: Fields): GateDefinition | undefined {
  if (!fields.has("hitl")) return readQuestion(fields);
  for (const key of ["hitl_message", "max_wait_seconds"] as const) {
    const instead = key === "hitl_message" ? "message" : "timeout";
    if (!fields.has(key)) continue;
    fields.refuse("CONFLICT", key, `stands beside "hitl": write ${instead} there`);
  }
  const own = fields.map("hitl", GATE_KEYS, (node) =>
    node.kind === "scalar" ? `: write hitl_message: ${JSON.stringify(node.text)}` : "");
  if (own === undefined) return undefined;
  const message = own.text("message", { maxBytes: MAX_MESSAGE_BYTES });
  if (message === undefined && !own.has("message")) {
    own.refuse("MISSING_KEY", "message", "is missing: what is the question?");
  }
  return { message: message ?? "", maxWaitMs: waitOf(own, "timeout"), rules: readRules(own) };
}

/** The two keys that are enough for most gates. */
function readQuestion(fields: Fields): GateDefinition | undefined {
  const maxWaitMs = waitOf(fields, "max_wait_seconds");
  const message = fields.text("hitl_message", { maxBytes: MAX_MESSAGE_BYTES });
  if (fields.has("max_wait_seconds") && !fields.has("hitl_message")) {
    fields.refuse("CONFLICT", "max_wait_seconds", 'has no "hitl_message" to wait for');
  }
  return message === undefined ? undefined : { message, maxWaitMs };
}

function waitOf(fields: Fields, key: string): number {
  const ms = fields.duration(key);
  if (ms === 0) {
    const what = "must be more than 0: nobody could answer";
    fields.refuse("OUT_OF_RANGE", key, what, fields.value(key) as YamlNode);
  }
  return ms ?? DEFAULT_GATE_WAIT_MS;
}

function readRules(own: Fields): GateRulesDefinition {
  const people = own.texts("approvers", {
    max: MAX_APPROVERS, single: true, maxBytes: MAX_PERSON_BYTES,
  }) ?? [];
  const approvers = people.map(({ text }) => text);
  const twice = people.find(({ text }, at) => approvers.indexOf(text) < at);
  if (twice !== undefined) {
    own.refuse("BAD_VALUE", "approvers", `names "${twice.text}" twice`, twice.node);
  }
  const most = approvers.length === 0 ? MAX_APPROVERS : approvers.length;
  const rules = {
    form: readForm(own),
    approvers,
    required: own.number("required", { min: 1, max: most, whole: true }) ?? 1,
    onTimeout: own.oneOf("on_timeout", ["reject", "approve", "skip"]) ?? "reject",
    selfApproval: own.boolean("self_approval") ?? true,
    notify: readNotify(own),
  };
  const open = rules.form.find((field) => field.required && field.default === undefined);
  if (rules.onTimeout === "approve" && open !== undefined) {
    const what = `is approve, and field "${open.name}" is required and has no default`;
    own.refuse("CONFLICT", "on_timeout", what);
  }
  return rules;
}

// #region notify
function readNotify(own: Fields): NotifyDefinition | undefined {
  const fields = own.map("notify", NOTIFY_KEYS, (node) =>
    node.kind === "scalar" ? `: write {webhook: ${JSON.stringify(node.text)}}` : "");
  if (fields === undefined) return undefined;
  if (fields.has("command") === fields.has("webhook")) {
    const found = fields.has("command") ? "has both" : "has neither";
    own.refuse("CONFLICT", "notify", `wants either command or webhook, and ${found}`);
    return undefined;
  }
  if (fields.has("command")) return { type: "command", argv: readProgram(fields) };
  const url = fields.text("webhook", { maxBytes: MAX_URL_BYTES }) ?? "";
  const problem = url === "" ? undefined : webhookProblem(url);
  if (problem !== undefined) fields.refuse("BAD_VALUE", "webhook", problem);
  return { type: "webhook", url };
}

function readProgram(fields: Fields): string[] {
  const options = { max: MAX_NOTIFY_ARGS, maxBytes: MAX_NOTIFY_ARG_BYTES, empty: true };
  const words = fields.texts("command", options)?.map(({ text }) => text);
  if (words?.[0] === "" || words?.length === 0) {
    fields.refuse("EMPTY", "command", "names no program");
  }
  return words ?? [];
}
// #endregion

// ── the form ─────────────────────────────────────────────────────────────────────────────────────

function readForm(own: Fields): FieldDefinition[] {
  const node = own.value("form");
  if (node === undefined) return [];
  if (node.kind !== "sequence") {
    own.wrong("form", node, "a list of fields", ": write [{name: …, type: text}]");
    return [];
  }
  if (node.items.length > MAX_FORM_FIELDS) {
    own.refuse("TOO_LARGE", "form", `has more than ${MAX_FORM_FIELDS} fields`, node);
    return [];
  }
  const read: FieldDefinition[] = [];
  for (const item of node.items) {
    if (item.kind !== "mapping") {
      own.wrong("form", item, "a list of maps with name and type");
      continue;
    }
    const field = readField(own, item, read);
    if (field !== undefined) read.push(field);
  }
  return read;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

function readField(
  own: Fields, node: MappingNode, before: readonly FieldDefinition[],
): FieldDefinition | undefined {
  const known = { known: FIELD_KEYS, scope: ` in "form"${own.scope}` };
  const fields = new Fields(own.report, node, known);
  const found = own.report.count;
  const name = fields.text("name") ?? "";
  if (name === "" && !fields.has("name")) fields.refuse("MISSING_KEY", "name", "is missing");
  if (name !== "" && !NAME.test(name)) {
    const rule = 'begins with a letter and goes on with letters, digits, "_" or "-"';
    fields.refuse("BAD_VALUE", "name", `${rule}, found ${JSON.stringify(name)}`);
  }
  if (before.some((other) => other.name === name)) {
    fields.refuse("BAD_VALUE", "name", `is that of another field: "${name}"`);
  }
  const options = { max: MAX_CHOICES, maxBytes: MAX_FIELD_BYTES };
  const choices = (fields.texts("choices", options) ?? []).map(({ text }) => text);
  // A field with choices is a choice. To say so twice is nobody's need.
  const usual = fields.has("choices") ? "choice" : "text";
  const type = fields.oneOf("type", TYPES) ?? usual;
  checkChoices(fields, type, choices);
  const field = {
    name, type, label: fields.text("label", { maxBytes: MAX_LABEL_BYTES }) ?? "", choices,
    default: fields.text("default", { empty: true, maxBytes: MAX_FIELD_BYTES }),
    required: fields.boolean("required") ?? false,
  };
  checkDefault(fields, field);
  return own.report.count === found ? field : undefined;
}

function checkChoices(fields: Fields, type: string, choices: readonly string[]): void {
  if (type === "choice" && choices.length === 0) {
    fields.refuse("MISSING_KEY", "type", 'is choice, and "choices" has nothing to choose from');
  }
  if (type !== "choice" && fields.has("choices")) {
    fields.refuse("CONFLICT", "choices", `is for a choice, and the field is a ${type}`);
  }
}

function checkDefault(fields: Fields, { type, choices, default: preset }: FieldDefinition): void {
  const node = fields.value("default");
  if (preset === undefined || node === undefined) return;
  const fits = type === "text" ||
    (type === "choice" && choices.includes(preset)) ||
    (type === "boolean" && /^(?:true|false|yes|no)$/.test(preset)) ||
    (type === "number" && preset.trim() !== "" && Number.isFinite(Number(preset)));
  const wanted = type === "choice" ? `one of ${choices.join(", ")}` : `a ${type}`;
  if (!fits) fields.refuse("BAD_VALUE", "default", `must be ${wanted}, found ${describe(node)}`);
}
