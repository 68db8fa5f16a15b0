/**
 * Lesson 17: the action of a job: exactly one of file, command, run and call.
 *
 * Invariants: a path stays inside the project, whatever machine reads it; a list of arguments
 * arrives as it was written.
 * Test: test/17-pipelines.test.ts
 */
import { hint } from "#base";
import { resolveScalar, toValue, type ScalarNode, type YamlNode } from "#yaml";
import { clip, type Fields, type Text } from "./fields.ts";
import { MAX_ARGS, MAX_INPUT_BYTES, MAX_PATH_BYTES } from "./limits.ts";
import { quoted, textsIn } from "./show.ts";
import type { ActionDefinition, ShellName } from "./types.ts";
import { splitWords } from "./words.ts";

export const SHELLS = ["sh", "bash", "python3", "node"] as const;
/** The names that GitHub and others give them, with and without the `{0}` of a template. */
const OTHER_SHELLS = new Map<string, ShellName>([
  ["python", "python3"],
  ["python2", "python3"],
  ["py", "python3"],
  ["nodejs", "node"],
  ["javascript", "node"],
  ["dash", "sh"],
  ["/bin/sh", "sh"],
  ["/bin/bash", "bash"],
  ["/usr/bin/bash", "bash"],
]);
const ACTIONS = ["file", "command", "run", "call"] as const;
/** A warning is worth one look at the beginning of a script, not a walk over a megabyte. */
const MAX_SEARCHED_CHARS = 64 * 1024;
/** Calls that need no module: the worker's pool answers them itself (src/exec). */
export const BUILTIN_CALLS = ["titan:noop", "titan:echo", "titan:fail", "titan:sleep"];

/** The program for scripts that a pipeline or a job names. */
export function readShell(fields: Fields): ShellName | undefined {
  const node = fields.value("shell");
  if (node === undefined) return undefined;
  const text = node.kind === "scalar" ? node.text : "";
  const word = text.split(" ")[0] ?? "";
  const known = SHELLS.find((name) => name === word) ?? OTHER_SHELLS.get(word);
  const other = /^(?:pwsh|powershell|cmd|zsh|fish|ruby|perl)$/.test(word)
    ? `: write command: [${word}, …], or file: for a script of the project`
    : "";
  const help = known === undefined ? other : `: write shell: ${known}`;
  return fields.oneOf("shell", SHELLS, help && fields.report.foreign(help));
}

/** `shell` runs a script that names no shell of its own. */
export function readAction(fields: Fields, shell: ShellName): ActionDefinition | undefined {
  const given = ACTIONS.filter((key) => fields.has(key));
  const [kind, other] = given;
  if (kind === undefined) {
    if (ACTIONS.some((key) => fields.meant.has(key))) return undefined;
    const what = `nothing to do${fields.scope}: give it one of file, command, run or call`;
    return fields.report.problem("MISSING_KEY", fields.node, what);
  }
  if (other !== undefined) {
    const both = `"${other}" and "${kind}"${fields.scope}`;
    const what = `${both}: a job has exactly one of file, command, run and call`;
    return fields.report.problem("CONFLICT", fields.keyNode(other), what);
  }
  if (fields.has("shell") && kind !== "run") {
    fields.refuse("CONFLICT", "shell", 'goes with "run" only');
  }
  const input = fields.either("input", "with");
  if (fields.has("args") && kind !== "file") {
    const help = kind === "command" ? ': append them to "command"' : "";
    fields.refuse("CONFLICT", "args", `goes with "file" only${help}`);
  }
  if (fields.has(input) && kind !== "call") {
    fields.refuse("CONFLICT", input, 'goes with "call" only');
  }

  if (kind === "file") return readFile(fields);
  if (kind === "command") return readCommand(fields);
  if (kind === "call") return readCall(fields, input);
  return readScript(fields, shell);
}

function readScript(fields: Fields, shell: ShellName): ActionDefinition | undefined {
  const node = fields.value("run") as YamlNode;
  if (node.kind === "sequence") return fields.wrong("run", node, "text", runHelp(fields, node));
  const script = fields.text("run");
  if (script === undefined) return undefined;
  const template = /\$\{\{[^}\n]*\}\}/.exec(script.slice(0, MAX_SEARCHED_CHARS));
  if (template) {
    const what = `"run"${fields.scope} contains ${clip(template[0])}, which nothing replaces`;
    fields.report.warn(node, `${what}: set a variable in env, and write $NAME (docs/pipelines.md)`);
  }
  const program = /^#!.*?(bash|python|node)\b/.exec(script)?.[1];
  const named = program === "python" ? "python3" : program;
  if (named !== undefined && named !== shell) {
    const what = `"run"${fields.scope} begins with "#!", which nobody reads here`;
    fields.report.warn(node, `${what}: write shell: ${named}`);
  }
  const isPosix = shell === "sh" || shell === "bash";
  if (isPosix && script.slice(0, MAX_SEARCHED_CHARS).includes("\r\n")) {
    const what = `"run"${fields.scope} has Windows line ends (\\r\\n)`;
    const advice = "end lines with \\n";
    fields.report.warn(node, `${what}: ${shell} takes the \\r as part of the line; ${advice}`);
  }
  return shell === "sh" ? { type: "shell", script } : { type: "shell", script, shell };
}

/** A list of commands, as in GitLab. */
function runHelp(fields: Fields, node: YamlNode): string {
  const [line, ...more] = textsIn(node);
  if (line === undefined) return "";
  if (more.length === 0) return fields.report.foreign(`: write run: ${quoted(line)}`);
  return fields.report.foreign(": write run: | and each command on a line of its own below it");
}

function readFile(fields: Fields): ActionDefinition | undefined {
  const node = fields.value("file") as YamlNode;
  const file = fields.textOf("file", node, { maxBytes: MAX_PATH_BYTES });
  const args = readArgs(fields);
  if (!file || !args) return undefined;
  const wrong = outside(file.text);
  if (wrong !== undefined) {
    const found = JSON.stringify(clip(file.text));
    return fields.refuse("BAD_VALUE", "file", `${wrong}, found ${found}`, node);
  }
  return { type: "file", file: file.text, args };
}

// #region outside
/** Why a path may not leave the machine it was written on; undefined for a good one. */
function outside(path: string): string | undefined {
  if (path.includes("\\")) return 'must be written with "/"';
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) return "must be relative to the project";
  if (path.startsWith("~")) return 'must be relative to the project ("~" is not expanded)';
  let depth = 0;
  for (const part of path.split("/")) {
    if (part === "..") depth--;
    else if (part !== "" && part !== ".") depth++;
    // Counted on the way, not at the end: "../p/x" is back at depth 1, but has been elsewhere.
    if (depth < 0) return "must stay inside the project";
  }
  return depth === 0 || /\/\.{0,2}$/.test(path) ? "must name a file" : undefined;
}
// #endregion

function readArgs(fields: Fields): string[] | undefined {
  const node = fields.value("args");
  if (!node) return [];
  if (node.kind !== "scalar") {
    return fields.texts("args", { max: MAX_ARGS, empty: true })?.map(({ text }) => text);
  }
  const line = fields.textOf("args", node, { empty: true });
  return line && splitArgs(fields, line);
}

function splitArgs(fields: Fields, { text, node }: Text): string[] | undefined {
  const split = splitWords(text);
  if ("problem" in split) {
    const at = { node, ...caret(node, split.at) };
    const what = `cannot be split into words: ${split.problem}`;
    return fields.refuse("BAD_VALUE", "args", what, at);
  }
  if (split.expansion !== undefined) {
    const what = `"args"${fields.scope} contains ${split.expansion}`;
    fields.report.warn(node, `${what}, which only a shell would expand: use "run" for that`);
  }
  if (split.words.length > MAX_ARGS) {
    return fields.refuse("TOO_LARGE", "args", `has more than ${MAX_ARGS} entries`, node);
  }
  return split.words;
}

/** The position of the `index`-th character of a scalar, where source and text run in parallel. */
function caret(node: ScalarNode, index: number): { skip?: number; length?: number } {
  const quotes = node.style === "plain" ? 0 : 1;
  const isBlock = node.style === "literal" || node.style === "folded";
  const parallel = !isBlock && node.length === node.text.length + 2 * quotes;
  return parallel ? { skip: index + quotes, length: 1 } : {};
}

function readCommand(fields: Fields): ActionDefinition | undefined {
  const node = fields.value("command") as YamlNode;
  if (node.kind === "scalar") {
    const help = ': write [program, argument], or use "run" for a line of shell';
    return fields.wrong("command", node, "a list", help);
  }
  const argv = fields.texts("command", { max: MAX_ARGS, empty: true })?.map(({ text }) => text);
  if (!argv) return undefined;
  if (!argv[0]) return fields.refuse("BAD_VALUE", "command", "must begin with a program", node);
  return { type: "command", argv };
}

function readCall(fields: Fields, inputKey: string): ActionDefinition | undefined {
  const node = fields.value("call") as YamlNode;
  const target = fields.textOf("call", node, { maxBytes: MAX_PATH_BYTES });
  const inputNode = fields.value(inputKey);
  const input = inputNode ? readInput(fields, { key: inputKey, node: inputNode }) : null;
  if (!target || input === undefined) return undefined;
  if (BUILTIN_CALLS.includes(target.text)) return { type: "call", target: target.text, input };
  const parts = /^([^#]+)#([A-Za-z_$][A-Za-z0-9_$]*)$/.exec(target.text);
  const found = `, found ${JSON.stringify(clip(target.text))}`;
  if (!parts) {
    const what = `must be path/module.js#function${found}${hint(target.text, BUILTIN_CALLS)}`;
    return fields.refuse("BAD_VALUE", "call", what, node);
  }
  const wrong = outside(parts[1] as string);
  if (wrong !== undefined) return fields.refuse("BAD_VALUE", "call", `${wrong}${found}`, node);
  return { type: "call", target: target.text, input };
}

/** The one field without a schema: only here the text of a plain scalar decides its type. */
function readInput(fields: Fields, { key, node }: { key: string; node: YamlNode }): unknown {
  const before = fields.report.count;
  for (const scalar of scalars(node)) {
    const resolved = resolveScalar(scalar);
    const where = `"${key}"${fields.scope}`;
    if (resolved.type === "ambiguous") {
      fields.report.problem("BAD_VALUE", scalar, `${where}: ${resolved.why}`);
    }
    if (resolved.type === "text" && resolved.boolean !== undefined) {
      const what = `${where}: ${scalar.text} is the text "${scalar.text}"`;
      fields.report.warn(scalar, `${what}; write ${resolved.boolean} for the boolean, or quote it`);
    }
  }
  if (fields.report.count > before) return undefined;
  const value = toValue(node);
  if (Buffer.byteLength(JSON.stringify(value)) <= MAX_INPUT_BYTES) return value;
  return fields.refuse("TOO_LARGE", key, `is longer than ${MAX_INPUT_BYTES} bytes as JSON`, node);
}

function* scalars(node: YamlNode): Generator<ScalarNode> {
  if (node.kind === "scalar") yield node;
  else if (node.kind === "sequence") for (const item of node.items) yield* scalars(item);
  else for (const entry of node.entries) yield* scalars(entry.value);
}
