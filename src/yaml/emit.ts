/**
 * Lesson 17: the way back: a value as YAML that a person would have written.
 *
 * Invariants: `toValue(parseYaml(emitYaml(value)))` equals `value`, for every value that JSON can
 * hold within the reader's limits; a text that any YAML version could take for something else is
 * quoted.
 * Test: test/17-pipelines.yaml.test.ts
 */
import { resolveScalar } from "./scalar.ts";

/** Lists of scalars up to this many characters stand on one line. */
const MAX_FLOW_CHARS = 72;

/**
 * Text that means itself everywhere, also between brackets and as a key: words, and durations such
 * as 1m30s.
 */
const PLAIN =
  /^(?:[A-Za-z_/][A-Za-z0-9_./+@=-]*(?: [A-Za-z0-9_./+@=-]+)*|[0-9]+[A-Za-z][A-Za-z0-9]*)$/;

/**
 * A JSON-like value as a YAML document. Undefined entries of objects are left out.
 *
 * @example
 * ```ts
 * import { emitYaml } from "#yaml";
 * emitYaml({ id: "a", env: { DEBUG: "no" } }) // => 'id: a\nenv:\n  DEBUG: "no"\n'
 * ```
 */
export function emitYaml(value: unknown): string {
  const lines: string[] = [];
  emit(lines, value, { prefix: "", indent: 0 });
  return `${lines.join("\n")}\n`;
}

/**
 * Appends `value` to `lines`. The first line begins with `prefix` ("- ", "key:"), the others with
 * `indent` spaces.
 */
function emit(lines: string[], value: unknown, at: { prefix: string; indent: number }): void {
  const { prefix, indent } = at;
  const pad = " ".repeat(indent);
  const inline = oneLine(value);
  if (inline !== undefined) {
    lines.push(prefix.endsWith(":") ? `${prefix} ${inline}` : prefix + inline);
  } else if (typeof value === "string") {
    const body = value.endsWith("\n") ? value.slice(0, -1) : value;
    const head = prefix.endsWith(":") ? `${prefix} ` : prefix;
    lines.push(`${head}|${value.endsWith("\n") ? "" : "-"}`);
    // A text that is the whole document is indented, too: not every reader takes it in column 1.
    for (const line of body.split("\n")) lines.push(line === "" ? "" : (pad || "  ") + line);
  } else {
    const isList = Array.isArray(value);
    // "- " and a nested collection share a line; a key and its collection do not.
    let first = prefix === "" ? pad : prefix;
    if (prefix.endsWith(":")) {
      lines.push(prefix);
      first = pad;
    }
    for (const [key, item] of Object.entries(value as object)) {
      if (item === undefined) continue;
      const head = isList ? `${first}- ` : `${first}${quoteYaml(key)}:`;
      emit(lines, item, { prefix: head, indent: indent + 2 });
      first = pad;
    }
  }
}

/** Scalars, empty collections and short lists of scalars. Undefined: the value needs more lines. */
function oneLine(value: unknown): string | undefined {
  if (typeof value === "string") return isBlock(value) ? undefined : quoteYaml(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (!Array.isArray(value)) {
    return Object.values(value).some((item) => item !== undefined) ? undefined : "{}";
  }
  if (value.some((item) => typeof item === "object" && item !== null)) return undefined;
  const inline = (item: unknown) =>
    typeof item === "string" ? quoteYaml(item) : JSON.stringify(item);
  const text = `[${value.map(inline).join(", ")}]`;
  return value.length === 0 || text.length <= MAX_FLOW_CHARS ? text : undefined;
}

/** Begins with a blank or a line end, ends with an empty line, or holds a control character. */
const NOT_AS_BLOCK = /^[\n\t ]|\n\n$|[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]/;

/** Several lines of ordinary text are easiest to read as they are. */
function isBlock(text: string): boolean {
  return text.includes("\n") && !NOT_AS_BLOCK.test(text);
}

/** A text on one line: plain where every YAML version takes it for text, else in double quotes. */
export function quoteYaml(text: string): string {
  const resolved = PLAIN.test(text) ? resolveScalar({ text, style: "plain" }) : undefined;
  if (resolved?.type === "text" && resolved.boolean === undefined) return text;
  // JSON's quotes are YAML's. But JSON leaves some characters bare that the reader refuses.
  return JSON.stringify(text).replace(/[\x7f-\x9f\ufeff\ufffe\uffff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
