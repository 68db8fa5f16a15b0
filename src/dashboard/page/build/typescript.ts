/**
 * Lesson 19: a pipeline as a program in TypeScript that submits it and waits for its end.
 *
 *     pipeline("nightly")
 *       .job("extract", { run: "make" })
 *
 * Invariant: every text is written so that the program has exactly that text, whatever is in it.
 * Left out: the folder. The program says where it stands, if a job needs one.
 * Test: test/19-dashboard.build.generate.test.ts
 */

const PACKAGE = "titan-orchestrator";
export const MAX_LINE_CHARS = 96;
const NAME = /^[A-Za-z_$][\w$]*$/;

export function toTypeScript(value: Record<string, unknown>): string {
  const { name, jobs, ...keys } = value;
  const head = Object.keys(keys).length === 0 ? "" : `, ${literal(keys, 0, 30)}`;
  const calls = jobMaps(jobs).map((job) => {
    const { id, ...own } = job;
    const start = `  .job(${quoted(id)}, `;
    return `${start}${literal(own, 2, start.length + 1)})`;
  });
  const variable = variableOf(name);
  const submit = needsFolder(value) ? `${variable}, { projectDir: "." }` : variable;
  return [
    `import { connect, pipeline } from ${quoted(PACKAGE)};`,
    "",
    `${[`const ${variable} = pipeline(${quoted(name ?? "")}${head})`, ...calls].join("\n")};`,
    "",
    "const titan = await connect();",
    `const { id, status } = await titan.run(${submit});`,
    "console.log(id, status);",
    "titan.close();",
    "",
  ].join("\n");
}

/** A value as a literal: on one line if it fits, else with a line for each part. */
function literal(value: unknown, indent: number, used: number): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts = Object.entries(value);
  const write = ([key, item]: [string, unknown], deep: number): string =>
    isList ? literal(item, deep, deep) : `${keyOf(key)}: ${literal(item, deep, deep + key.length)}`;
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0) return open + close;
  const pad = isList ? "" : " ";
  const inline = `${open}${pad}${parts.map((part) => write(part, 0)).join(", ")}${pad}${close}`;
  if (!inline.includes("\n") && indent + used + inline.length <= MAX_LINE_CHARS) return inline;
  const deep = " ".repeat(indent + 2);
  const lines = parts.map((part) => `${deep}${write(part, indent + 2)},`);
  return `${open}\n${lines.join("\n")}\n${" ".repeat(indent)}${close}`;
}

/** Characters that would be lost, or that nobody could see, in a text of several lines. */
export const UNSEEN = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]/;

/** `__proto__` in braces would be the prototype; in brackets it is a key. */
function keyOf(key: string): string {
  if (key === "__proto__") return `["__proto__"]`;
  return NAME.test(key) ? key : quoted(key);
}

/**
 * A text of several lines in backquotes, where a script can be read; else JSON's quotes, which are
 * JavaScript's. Characters that an editor would not show are written as escapes.
 */
export function quoted(value: unknown): string {
  const text = String(value);
  const isScript = text.includes("\n") && !UNSEEN.test(text);
  if (isScript) return `\`${text.replace(/[\\`]|\$(?=\{)/g, "\\$&")}\``;
  return JSON.stringify(text).replace(/[\x7f-\x9f\u2028\u2029\ufeff]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function jobMaps(jobs: unknown): Record<string, unknown>[] {
  return Array.isArray(jobs) ? jobs.filter((job) => typeof job === "object" && job !== null) : [];
}

/** Do its jobs name files of a folder? */
export function needsFolder({ jobs, project }: Record<string, unknown>): boolean {
  const names = (job: Record<string, unknown>): boolean =>
    job["file"] !== undefined || String(job["call"] ?? "").includes("#");
  return project === true || (project !== false && jobMaps(jobs).some(names));
}

/** The name of the pipeline as a variable: `my-run.2` is myRun2. */
function variableOf(name: unknown): string {
  const words = String(name ?? "").split(/[^A-Za-z0-9]+/).filter(Boolean);
  const joined = words.map((word, at) =>
    at === 0 ? word.slice(0, 1).toLowerCase() + word.slice(1) :
      word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
  return /^[a-z]/.test(joined) && !RESERVED.has(joined) ? joined : "work";
}

const RESERVED: ReadonlySet<string> = new Set([
  "await", "break", "case", "catch", "class", "connect", "console", "const", "continue", "debugger",
  "default", "delete", "do", "else", "enum", "export", "extends", "false", "finally", "for",
  "function", "id", "if", "implements", "import", "in", "instanceof", "interface", "let", "new",
  "null", "package", "pipeline", "private", "protected", "public", "return", "static", "status",
  "super", "switch", "this", "throw", "titan", "true", "try", "typeof", "undefined", "var", "void",
  "while", "with", "yield", "eval", "arguments", "async",
]);
