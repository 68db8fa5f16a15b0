/**
 * Lesson 19: a pipeline as a program in Python, with titan.py, that submits it and waits.
 *
 *     work = pipeline("nightly")
 *     work.job("extract", run="make")
 *
 * Invariant: every text is written so that the program has exactly that text, whatever is in it.
 * Test: test/19-dashboard.build.generate.test.ts
 */
import { jobMaps, MAX_LINE_CHARS, needsFolder, UNSEEN } from "./typescript.ts";

const PYTHON_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Words that cannot name an argument, and the two that `job` and `pipeline` have already. */
const PYTHON_WORDS: ReadonlySet<string> = new Set([
  "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
  "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in",
  "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "self", "try", "while",
  "with", "yield",
]);

export function toPython(value: Record<string, unknown>): string {
  const { name, jobs, ...keys } = value;
  const calls = jobMaps(jobs).map(({ id, ...own }) => call("work.job", id, own));
  const folder = needsFolder(value) ? ", project_dir=\".\"" : "";
  return [
    "from titan import Client, pipeline",
    "",
    call("work = pipeline", name, keys),
    ...calls,
    "",
    'if __name__ == "__main__":',
    "    with Client() as titan:",
    `        run = titan.submit(work${folder}).run`,
    "        print(run, titan.wait(run).status)",
    "",
  ].join("\n");
}

/** `work.job("a", run="make")`; keys that are no names of Python go in as a map. */
function call(what: string, first: unknown, keys: Record<string, unknown>): string {
  const all = Object.entries(keys);
  const named = all.filter(([key]) => PYTHON_NAME.test(key) && !PYTHON_WORDS.has(key));
  const others = all.filter((part) => !named.includes(part));
  const rest = others.length === 0 ? [] : [`**${pythonOf(Object.fromEntries(others), 4)}`];
  const parts = [
    pythonText(first),
    ...named.map(([key, item]) => `${key}=${pythonOf(item, 4)}`),
    ...rest,
  ];
  const line = `${what}(${parts.join(", ")})`;
  if (line.length <= MAX_LINE_CHARS && !line.includes("\n")) return line;
  return `${what}(\n${parts.map((part) => `    ${part},\n`).join("")})`;
}

function pythonOf(value: unknown, indent: number): string {
  if (typeof value === "string") return pythonText(value);
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return String(value);
  const isList = Array.isArray(value);
  const write = ([key, item]: [string, unknown]): string =>
    isList ? pythonOf(item, indent + 4) : `${pythonText(key)}: ${pythonOf(item, indent + 4)}`;
  const parts = Object.entries(value).map(write);
  const [open, close] = isList ? "[]" : "{}";
  const inline = `${open}${parts.join(", ")}${close}`;
  if (!inline.includes("\n") && indent + inline.length <= MAX_LINE_CHARS) return inline;
  const pad = " ".repeat(indent + 4);
  const lines = parts.map((part) => `${pad}${part},\n`).join("");
  return `${open}\n${lines}${" ".repeat(indent)}${close}`;
}

/**
 * JSON's quotes are Python's, but for characters beyond U+FFFF, which JSON may write as two halves.
 * A script of several lines is a text in three quotes, which begins on the line below.
 */
function pythonText(value: unknown): string {
  const text = String(value);
  if (text.includes("\n") && !UNSEEN.test(text)) {
    const escaped = text.replace(/\\/g, "\\\\");
    const body = escaped.replace(/"""|"$/g, (quotes) => quotes.replaceAll('"', '\\"'));
    return `"""\\\n${body}"""`;
  }
  return JSON.stringify(text).replace(/[\x7f-\x9f\ufeff]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
