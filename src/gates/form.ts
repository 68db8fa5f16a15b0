/**
 * Lesson 16: a form: fields with types, and what a person typed into them.
 *
 *     given {tag: "v2", canary: "yes"}  ─readForm─▶  {tag: "v2", canary: "true", share: "10"}
 *                                                     ▲ checked   ▲ one spelling  ▲ its default
 *     kept as texts  ─typedValues─▶  {"tag": "v2", "canary": true, "share": 10}
 *
 * Invariants: a value that `readForm` returns is one that `typedValues` can type; a field that
 * nobody knows is refused, because a typing error must not become a default.
 * Test: test/16-gates.test.ts
 */
import { hint } from "#base";
import { MAX_FIELD_BYTES, MAX_FORM_BYTES, type FormField } from "#wire";

export type FormTexts = Readonly<Record<string, string>>;
export type FormResult = { readonly values: FormTexts } | { readonly problem: string };

// #region read
/**
 * The values of a form, each checked and in one spelling, or the first thing that is wrong:
 *
 *     it has no field "tga" (did you mean "tag"?): its fields are tag, share
 *     it has no field "tag": it asks for no fields
 *     field "tag" is required
 *
 * or what `wrongValue` says, or what begins with TOO_LONG. A default is a value like any other.
 */
export function readForm(form: readonly FormField[], given: FormTexts): FormResult {
  // #exercise readForm
  const names = form.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const has = names.length === 0 ? "it asks for no fields" : `its fields are ${names.join(", ")}`;
    return { problem: `it has no field "${name}"${hint(name, names)}: ${has}` };
  }
  const values: Record<string, string> = {};
  let bytes = 0;
  for (const field of form) {
    const text = Object.hasOwn(given, field.name) ? given[field.name] : field.default;
    if (text === undefined) {
      if (field.required) return { problem: `field "${field.name}" is required` };
      continue;
    }
    const value = spelled(field, text);
    if (value === undefined) return { problem: wrongValue(field, text) };
    bytes += Buffer.byteLength(value);
    if (Buffer.byteLength(value) > MAX_FIELD_BYTES || bytes > MAX_FORM_BYTES) {
      return { problem: `${TOO_LONG}, and field "${field.name}" makes it more` };
    }
    values[field.name] = value;
  }
  return { values };
  // #end-exercise
}
// #endregion

const TOO_LONG = `a form takes ${MAX_FIELD_BYTES} bytes a field and ${MAX_FORM_BYTES} in all`;
const YES = new Set(["true", "yes", "y", "on", "1"]);
const NO = new Set(["false", "no", "n", "off", "0"]);

/** The one spelling of a value. Undefined: it is none of this field. */
function spelled({ type, choices }: FormField, text: string): string | undefined {
  switch (type) {
    case "text": return text;
    case "choice": return choices.includes(text) ? text : undefined;
    case "boolean": {
      const word = text.trim().toLowerCase();
      return YES.has(word) ? "true" : NO.has(word) ? "false" : undefined;
    }
    case "number": {
      const number = Number(text);
      // Number("") is 0, and Number(" ") too: an empty field is no number.
      return text.trim() !== "" && Number.isFinite(number) ? String(number) : undefined;
    }
  }
}

function wrongValue({ name, type, choices }: FormField, text: string): string {
  const found = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  if (type === "choice") {
    const rule = `must be one of ${choices.join(", ")}`;
    return `field "${name}" ${rule}, found ${found}${hint(text, choices)}`;
  }
  return `field "${name}" must be ${type === "number" ? "a number" : "yes or no"}, found ${found}`;
}

/** The values of a form as JSON has them. */
export function typedValues(
  form: readonly FormField[], values: FormTexts,
): Record<string, string | number | boolean> {
  const typed: Record<string, string | number | boolean> = {};
  for (const { name, type } of form) {
    if (!Object.hasOwn(values, name)) continue;
    const text = values[name]!;
    typed[name] = type === "number" ? Number(text) : type === "boolean" ? text === "true" : text;
  }
  return typed;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** What is wrong with a form as its author wrote it. Undefined: nothing. */
export function formProblem(form: readonly FormField[]): string | undefined {
  const names = new Set<string>();
  for (const field of form) {
    const { name, type, choices, default: preset } = field;
    if (!NAME.test(name) || name === "__proto__") {
      const rule = 'begins with a letter and goes on with letters, digits, "_" or "-"';
      return `has a field ${JSON.stringify(name)}: a name ${rule}`;
    }
    if (names.has(name)) return `has two fields "${name}"`;
    names.add(name);
    if (type === "choice" && choices.length === 0) return `has a choice "${name}" of nothing`;
    if (type !== "choice" && choices.length > 0) {
      return `has choices for field "${name}", which is a ${type}`;
    }
    if (preset !== undefined && spelled(field, preset) === undefined) {
      return `has a default that does not fit: ${wrongValue(field, preset)}`;
    }
  }
  return undefined;
}
