/**
 * Lesson 19: a field of the side panel, made of its row in the table of fields (fields.ts).
 *
 * Each kind has a control: a line, a text of several lines, a number, a choice, a list. Each
 * letter goes into the text at once; an empty control takes the key out. A value for which there is
 * no control, such as a list of maps, is shown as JSON.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { YamlNode } from "#yaml";
import { h, type Child, type Hook, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { setField } from "./deeds.ts";
import type { Field } from "./field.ts";
import { FIELDS } from "./fields.ts";
import type { Finding } from "./problems.ts";
import { plainValue, type Path } from "./slots.ts";

export interface Shown {
  readonly context: Context;
  readonly field: Field;
  readonly path: Path;
  readonly node: YamlNode | undefined;
  readonly findings: readonly Finding[];
  readonly disabled: boolean;
}

export function control(shown: Shown): VNode {
  const { field, path, findings } = shown;
  const id = `build-${path.join("-")}`;
  if (field.kind === "map") return group(shown, id);
  const own = findings.filter((each) => each.field === field.key);
  const help = `${field.help}${field.usual === undefined ? "" : ` Without it: ${field.usual}.`}`;
  return h(
    "div",
    { class: `build-field build-field-${field.kind}`, key: field.key },
    h("div", { class: "build-label" }, h("label", { for: id }, field.key), unit(field)),
    input(shown, {
      id,
      "aria-describedby": `${id}-help`,
      "aria-invalid": own.length > 0 || undefined,
      disabled: shown.disabled,
    }),
    h("p", { class: "build-help", id: `${id}-help` }, help),
    own.map(({ message, kind }) =>
      h("p", { class: `build-finding build-finding-${kind}` }, message),
    ),
  );
}

function unit({ kind, min, max }: Field): Child {
  const range = min !== undefined && max !== undefined ? `${min} to ${max}` : "";
  const text = kind === "duration" ? "90s, 10m, 2h" : range;
  return text === "" ? null : h("span", { class: "build-unit" }, text);
}

/** A map of the table: its fields below a heading that opens. */
function group(shown: Shown, id: string): VNode {
  const { field, path, node } = shown;
  const isOpen = node !== undefined;
  // `restart: never` and `healthcheck: tcp` are short for maps.
  const word = node?.kind === "scalar" && node.text !== "" ? ` (now: ${node.text})` : "";
  return h("details", { class: "build-group", key: field.key, open: isOpen || undefined },
    h("summary", { id }, field.key, word),
    h("p", { class: "build-help" }, field.help),
    FIELDS[field.level!].map((inner) => control({
      ...shown, field: inner, path: [...path, inner.key],
      node: node?.kind === "mapping"
        ? node.entries.find(({ key }) => key.text === inner.key)?.value : undefined,
    })));
}

type Attributes = Readonly<Record<string, unknown>>;

function input(shown: Shown, attributes: Attributes): VNode {
  const { field, node } = shown;
  switch (field.kind) {
    case "choice": return choice(shown, attributes, field.choices ?? []);
    case "boolean": return choice(shown, attributes, ["true", "false"]);
    case "script": return lines(shown, attributes, textOf(node), (text) => text);
    case "texts": case "jobs":
      return line(shown, attributes, listText(node), (text) => typedList(field, text));
    case "env": return lines(shown, attributes, envText(node), envOf);
    case "json": case "maps":
      return lines(shown, attributes, jsonText(node), jsonOf, "change");
    default: return line(shown, attributes, textOf(node), (text) => typedValue(field, text));
  }
}

function choice(shown: Shown, attributes: Attributes, words: readonly string[]): VNode {
  const { context, path, node, field } = shown;
  const value = textOf(node);
  const onchange = (event: Event): void => {
    const { value: chosen } = event.target as HTMLSelectElement;
    const typed = field.kind === "boolean" ? chosen === "true" : chosen;
    setField(context, path, chosen === "" ? undefined : typed);
  };
  const all = value === "" || words.includes(value) ? words : [...words, value];
  return h("select", { ...attributes, onchange, value },
    h("option", { value: "", selected: value === "" }, field.usual ?? "—"),
    all.map((word) => h("option", { value: word, selected: value === word }, word)));
}

type Read = (text: string) => unknown;
/** There is no value in it yet. */
export const NOT_YET = Symbol("not yet");

function line(shown: Shown, attributes: Attributes, value: string, read: Read): VNode {
  const { field } = shown;
  return h("input", {
    ...attributes, type: "text", hook: holding(value), autocomplete: "off", spellcheck: "false",
    inputmode: field.kind === "number" ? "decimal" : undefined, placeholder: field.usual,
    ...writing(shown, read, "input"),
  });
}

function lines(
  shown: Shown, attributes: Attributes, value: string, read: Read, when?: "change",
): VNode {
  const rows = Math.max(2, Math.min(14, value.split("\n").length + 1));
  return h("textarea", {
    ...attributes, rows, hook: holding(value), spellcheck: "false",
    ...writing(shown, read, when ?? "input"),
  });
}

/**
 * A control in which somebody types keeps its text: the value that the text makes has no comma and
 * no line that is not finished.
 */
export function holding(value: string): Hook {
  const set = (element: HTMLElement): void => {
    const own = element as HTMLInputElement;
    if (own !== document.activeElement && own.value !== value) own.value = value;
  };
  return { mount: set, update: set };
}

/** Typing in one field is one step back. A value that cannot be read yet is left alone. */
function writing({ context, path }: Shown, read: Read, when: "input" | "change"): Attributes {
  const write = (event: Event): void => {
    const { value } = event.target as HTMLInputElement;
    try {
      const wanted = value === "" ? undefined : read(value);
      if (wanted !== NOT_YET) setField(context, path, wanted, path.join("/"));
    } catch (error) {
      const text = (error as Error).message;
      context.dispatch({ type: "notice", kind: "problem", text });
    }
  };
  return when === "input" ? { oninput: write } : { onchange: write };
}

// ── between the text of a control and the value of a field ───────────────────────────────────────

export function textOf(node: YamlNode | undefined): string {
  if (node === undefined) return "";
  return node.kind === "scalar" ? node.text : JSON.stringify(plainValue(node));
}

/**
 * A number is written as one if it looks like one; else as it was typed, and the check complains.
 */
export function typedValue({ kind }: Field, text: string): unknown {
  const isNumber = kind === "number" || kind === "duration";
  if (isNumber && /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text.trim())) return Number(text);
  if (kind === "place" && /^(?:true|false)$/.test(text.trim())) return text.trim() === "true";
  return text;
}

/** Words with commas between them. A list that has commas or blanks inside is JSON. */
export function listText(node: YamlNode | undefined): string {
  if (node?.kind !== "sequence") return textOf(node);
  const words = node.items.map((item) => (item.kind === "scalar" ? item.text : undefined));
  const isPlain = words.every((word) => word !== undefined && /^[^\s,[\]"]+$/.test(word));
  return isPlain ? words.join(", ") : JSON.stringify(plainValue(node));
}

export function typedList({ key }: Field, text: string): unknown {
  if (text.trimStart().startsWith("[")) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return NOT_YET;
    }
  }
  // A line of arguments is split by the reader, as a shell would.
  if (key === "args") return text;
  return text.split(",").map((word) => word.trim()).filter((word) => word !== "");
}

export function envText(node: YamlNode | undefined): string {
  if (node?.kind !== "mapping") return textOf(node);
  return node.entries
    .map(({ key, value }) => `${key.text}=${textOf(value).replaceAll("\n", "\\n")}`)
    .join("\n");
}

/** A line for each variable. One without a sign is not finished, and is not there yet. */
export function envOf(text: string): unknown {
  const entries = text.split("\n").flatMap((each) => {
    const at = each.indexOf("=");
    return at <= 0 ? [] : [[each.slice(0, at).trim(), each.slice(at + 1).replaceAll("\\n", "\n")]];
  });
  return entries.length === 0 ? NOT_YET : Object.fromEntries(entries) as unknown;
}

function jsonText(node: YamlNode | undefined): string {
  if (node === undefined) return "";
  return JSON.stringify(plainValue(node), undefined, 2);
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(`Cannot read the value as JSON: ${(error as Error).message}`, { cause: error });
  }
}
