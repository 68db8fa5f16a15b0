/**
 * Lesson 17: a value as its author could write it on one line, for messages that show the right
 * form.
 *
 * Invariant: the text that is shown is YAML with the same meaning, and short; else none is shown.
 * Test: test/17-pipelines.newcomers.test.ts
 */
import { resolveScalar, type YamlNode } from "#yaml";

/** A message is read on a terminal: more of a value would hide the advice. */
const MAX_SHOWN_CHARS = 60;
const MAX_SHOWN_ITEMS = 8;

/** The value in flow form; undefined for one that is long, nested, or has several lines. */
export function shown(node: YamlNode): string | undefined {
  const text = node.kind === "scalar" ? scalar(node, { inFlow: false }) : collection(node);
  return text === undefined || text.length > MAX_SHOWN_CHARS ? undefined : text;
}

/** `run: make`, or `run: …` for a value that cannot be shown. */
export function written(key: string, node: YamlNode): string {
  return `${key}: ${shown(node) ?? "…"}`;
}

/** The texts of a list of scalars, or of one scalar. */
export function textsIn(node: YamlNode): string[] {
  const items = node.kind === "sequence" ? node.items : [node];
  return items.flatMap((item) => (item.kind === "scalar" ? [item.text] : []));
}

/** The scalar under `key` of a map. */
export function scalarAt(node: YamlNode, ...keys: string[]): string | undefined {
  if (node.kind !== "mapping") return undefined;
  const entry = node.entries.find(({ key }) => keys.includes(key.text));
  return entry?.value.kind === "scalar" ? entry.value.text : undefined;
}

/** A text as a plain scalar where that is safe, in quotes elsewhere. */
export function quoted(text: string): string {
  const isPlain = /^[A-Za-z0-9_./-]+$/.test(text);
  return isPlain && !/^null$/i.test(text) ? text : JSON.stringify(text);
}

function scalar(node: YamlNode, { inFlow }: { inFlow: boolean }): string | undefined {
  if (node.kind !== "scalar" || node.text.includes("\n") || node.text === "") return undefined;
  if (resolveScalar(node).type === "null") return undefined;
  const bare = node.style === "plain" && !(inFlow && /[,[\]{}]/.test(node.text));
  return bare ? node.text : JSON.stringify(node.text);
}

function collection(node: YamlNode): string | undefined {
  if (node.kind === "scalar") return undefined;
  const parts: (string | undefined)[] = [];
  if (node.kind === "sequence") {
    if (node.items.length > MAX_SHOWN_ITEMS) return undefined;
    for (const item of node.items) parts.push(scalar(item, { inFlow: true }));
  } else {
    if (node.entries.length > MAX_SHOWN_ITEMS) return undefined;
    for (const { key, value } of node.entries) {
      const text = scalar(value, { inFlow: true });
      parts.push(text === undefined ? undefined : `${quoted(key.text)}: ${text}`);
    }
  }
  if (parts.length === 0 || parts.includes(undefined)) return undefined;
  return node.kind === "sequence" ? `[${parts.join(", ")}]` : `{${parts.join(", ")}}`;
}
