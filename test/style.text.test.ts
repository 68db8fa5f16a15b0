/**
 * How the code reads: its width, the length of its functions, the order of its files, and the
 * English of its comments. Each check is a function from texts to complaints, so that the tests
 * can also show it a text that is wrong.
 */
import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import {
  codeOf, files, findCycle, importsOf, pkg, read, sources,
} from "./style.support.ts";

const code = files.filter((file) => /^(?:src|test|scripts)\/.*\.(?:ts|mjs)$/.test(file));
const python = files.filter((file) => /^(?:src|test|scripts)\/.*\.py$/.test(file));
const lessons = files.filter((file) => /^(?:lessons|docs)\/.*\.md$/.test(file));

const MAX_COLUMNS = 100;
const MAX_FUNCTION_LINES = 60;

/** Lines that are too wide. A line that is one long word, such as an address, cannot be broken. */
function tooWide(file: string, text: string): string[] {
  return text.split("\n").flatMap((line, at) =>
    [...line].length > MAX_COLUMNS && /\S\s+\S/.test(line.trim())
      ? [`${file}:${at + 1} has ${[...line].length} columns`]
      : []);
}

/** Blocks of code in a page, with blank lines for the prose between them. */
function fencesOf(text: string): string {
  let inside = false;
  return text.split("\n").map((line) => {
    if (/^```/.test(line)) {
      inside = !inside && /^```ts/.test(line);
      return "";
    }
    return inside ? line : "";
  }).join("\n");
}

test(`no line of code is wider than ${MAX_COLUMNS} columns`, () => {
  assert.deepEqual([...code, ...python].flatMap((file) => tooWide(file, read(file))), []);
  assert.deepEqual(lessons.flatMap((file) => tooWide(file, fencesOf(read(file)))), []);
});

test("tooWide() counts characters, and fencesOf() leaves prose alone", () => {
  const wide = `x ${"ä".repeat(MAX_COLUMNS - 1)}`;
  assert.deepEqual(tooWide("a.ts", `${wide.slice(1)}\n${wide}`), ["a.ts:2 has 101 columns"]);
  assert.deepEqual(tooWide("a.ts", "x".repeat(500)), []);
  assert.equal(fencesOf("a\n```ts run\nb\n```\nc\n```console\nd\n```\n"), "\n\nb\n\n\n\n\n\n");
});

/** Functions that do not fit a screen: from the brace that opens the body to its end. */
function tooLong(file: string, source: string): string[] {
  const text = codeOf(source);
  const open: { line: number; isFunction: boolean }[] = [];
  const complaints: string[] = [];
  let line = 1;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "\n") line++;
    else if (char === "{") open.push({ line, isFunction: opensFunction(text.slice(0, at)) });
    else if (char === "}") {
      const block = open.pop();
      const lines = line - (block?.line ?? line) + 1;
      if (block?.isFunction && lines > MAX_FUNCTION_LINES) {
        complaints.push(`${file}:${block.line} has a function of ${lines} lines`);
      }
    }
  }
  return complaints;
}

/** `=> {`, or a parameter list and perhaps a type in front of the brace, but no `if (…) {`. */
function opensFunction(before: string): boolean {
  const text = before.slice(-2000).trimEnd();
  if (text.endsWith("=>")) return true;
  const list = /\)(?:\s*:\s*[^(){};=]*)?$/.exec(text);
  if (list === null) return false;
  let depth = 0;
  let at = list.index;
  for (; at >= 0; at--) {
    if (text[at] === ")") depth++;
    else if (text[at] === "(" && --depth === 0) break;
  }
  return !/\b(?:if|for|while|switch|catch|with|await)\s*$/.test(text.slice(0, Math.max(0, at)));
}

test(`no function is longer than ${MAX_FUNCTION_LINES} lines`, () => {
  const checked = code.filter((file) => !file.startsWith("test/"));
  assert.deepEqual(checked.flatMap((file) => tooLong(file, read(file))), []);
});

test("tooLong() knows functions, methods and arrows from other blocks", () => {
  const body = "\n  x;".repeat(MAX_FUNCTION_LINES - 1);
  for (const head of ["function f(a: (b: number) => void): void ", "const f = () => ", "  m() "]) {
    assert.deepEqual(tooLong("a.ts", `${head}{${body}}`), []);
    assert.deepEqual(tooLong("a.ts", `${head}{${body}\n}`), ["a.ts:1 has a function of 61 lines"]);
  }
  for (const head of ["if (a) ", "class A ", "const x = ", "for (const [a] of b(c)) "]) {
    assert.deepEqual(tooLong("a.ts", `${head}{${body}\n}`), [], head);
  }
});

test("no file imports itself by way of others, types included", () => {
  const edges = new Map(sources.map((file) => {
    const near = importsOf(read(file)).filter(({ specifier }) => specifier.startsWith("."));
    const to = near.map(({ specifier }) => normalize(join(dirname(file), specifier)));
    return [file, new Set(to)] as const;
  }));
  assert.equal(findCycle(edges)?.join(" -> "), undefined);
});

/** A file of its own line of thought says where it is checked; a short one stands in a map. */
const SHORT_LINES = 45;

test(`the header of a file of more than ${SHORT_LINES} lines names its test`, () => {
  const wrong = sources.filter((file) => {
    const text = read(file);
    const header = /\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? "";
    const named = [...header.matchAll(/\btest\/[\w.-]+\.test\.ts/g)].map(([name]) => name);
    return named.length === 0
      ? text.split("\n").length > SHORT_LINES
      : named.some((name) => !files.includes(name));
  });
  assert.deepEqual(wrong, []);
});

/** Sentences of comments that begin with a clause: "Who is lost cannot say so." */
function clausesFirst(file: string, source: string): string[] {
  const comments = source.match(/\/\*\*[\s\S]*?\*\/|(?:^[ \t]*\/\/[^\n]*\n?)+|\/\/ [^\n]*/gm) ?? [];
  return comments.flatMap((comment) => {
    // Drawings and examples are indented, and are no sentences.
    const prose = comment.replace(/^[ \t]*\*(?: {3,}[^\n]*| *)$/gm, " .");
    const plain = prose.replace(/^[ \t]*(?:\/\*\*|\*\/|\*|\/\/) ?/gm, "").replace(/\s+/g, " ");
    const opening = /(?<=^ ?|[.:;!?] )(?:What|Who|Whoever|Whose|Whatever) [^.:?!]*[.:?!]/g;
    return (plain.match(opening) ?? [])
      .filter((sentence) => !sentence.endsWith("?") && !isTitle(sentence))
      .map((sentence) => `${file}: ${sentence.slice(0, 80)}`);
  });
}

const VERB = new RegExp(String.raw`\b(?:${[
  "is|are|was|were|has|have|had|can|cannot|may|must|will|would|does|do|goes|comes|takes|says",
  "knows|needs|wants|counts|costs|waits|gets|makes|stays|ends|sees",
].join("|")})\b`, "g");

/**
 * "What a job is given." names a thing and has one verb. In "What is there counts." the clause is
 * the subject of a second one. Verbs of other clauses do not count.
 */
function isTitle(sentence: string): boolean {
  if (!sentence.startsWith("What ")) return false;
  const own = sentence.replace(
    /\b(?:that|which|who|when|if|before|while|whose|as|and|or)\b.*/g,
    "",
  );
  return (own.match(VERB) ?? []).length < 2;
}

test("no sentence of a comment begins with a clause as its subject", () => {
  assert.deepEqual(sources.flatMap((file) => clausesFirst(file, read(file))), []);
});

test("clausesFirst() knows a title from a sentence", () => {
  const found = (text: string): number => clausesFirst("a.ts", text).length;
  for (const bad of [
    "// Who is lost cannot say so.", "/** It is so. Whoever asks is told. */",
    "// What is there counts.", "/**\n * Whose folder it is, says the\n * owner.\n */",
  ]) assert.equal(found(bad), 1, bad);
  for (const good of [
    "// What a job is given.",
    "/** What was typed before the word that is completed. */",
    "// Who knows?",
    "/** The worker says what it has. */",
    "/**\n *     What is drawn is drawn.\n */",
  ]) {
    assert.equal(found(good), 0, good);
  }
});

test("private members are `#x`, in one way everywhere", () => {
  const wrong = sources.flatMap((file) =>
    codeOf(read(file)).split("\n").flatMap((line, at) =>
      /^\s*(?:private|protected) /.test(line) ? [`${file}:${at + 1} ${line.trim()}`] : []));
  assert.deepEqual(wrong, []);
});

/** Names of values in `export { … }` and `export function …` of a subsystem's face. */
function exportedValues(face: string): string[] {
  const code = codeOf(face, { keepStrings: true });
  const lists = [...code.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, list]) => list!.split(","));
  const listed = lists.map((item) => item.trim()).filter((item) => !/^(?:type |$)/.test(item));
  const declared = [...code.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)];
  return [
    ...listed.map((item) => item.split(" as ").at(-1)!),
    ...declared.map(([, name]) => name!),
  ];
}

/**
 * Whether a file takes a value from a subsystem; from one that is loaded later, by speaking of it.
 */
function takes(source: string, from: string, name: string): boolean {
  const text = codeOf(source, { keepStrings: true });
  const lists = [...text.matchAll(/^(?:import|export) \{([^}]*)\} from "(#[\w-]+)"/gm)];
  const items = lists.flatMap(([, list, face]) => (face === from ? list!.split(",") : []));
  return items.some((item) => item.trim().split(" as ")[0] === name) ||
    (text.includes(`import("${from}")`) && new RegExp(String.raw`\b${name}\b`).test(text));
}

/** Whether code speaks of a name, but for its own declaration and lists of names. */
function speaksOf(source: string, name: string): boolean {
  const start = String.raw`^(?:export )?(?:async )?(?:function\*?|class|const) ${name}\b`;
  const body = codeOf(source, { keepStrings: true })
    .replace(new RegExp(String.raw`${start}[^\n]*[^};\n]\n[\s\S]*?^\}`, "gm"), "")
    .replace(new RegExp(String.raw`${start}[^\n]*`, "gm"), "")
    .replace(/^(?:import|export) (?:type )?\{[^}]*\}[^\n]*/gm, "");
  return new RegExp(String.raw`\b${name}\b`).test(codeOf(body));
}

/**
 * A face that other projects import (`exports` of package.json) is used by them. Otherwise a name
 * has to be imported by another subsystem or by a script, or to have work in its own folder. Tests
 * do not count, and a limit or an error is no brick: it is exported to be named.
 */
test("a brick that a subsystem exports runs in the machine", () => {
  const isOffered = (face: string): boolean =>
    JSON.stringify(pkg.exports).includes(face.replace(/^src/, "dist").replace(/\.ts$/, ".js"));
  const used = code.filter((file) => !file.startsWith("test/"))
    .map((file) => ({ file, text: read(file) }));
  const unused = Object.keys(pkg.imports).flatMap((name) => {
    const face = normalize(pkg.imports[name]!["source"]!);
    if (isOffered(face)) return [];
    const inside = used.filter(({ file }) => file.startsWith(`${dirname(face)}/`));
    const outside = used.filter((each) => !inside.includes(each));
    return exportedValues(read(face))
      .filter((found) => !/^[A-Z\d_]+$|Error$/.test(found))
      .filter((found) => {
        return !outside.some(({ text }) => text.includes(found) && takes(text, name, found));
      })
      .filter((found) => !inside.some(({ text }) => speaksOf(text, found)))
      .map((found) => `${name} exports ${found}`);
  });
  assert.deepEqual(unused, []);
});

test("exportedValues() and takes() leave types and comments out", () => {
  const face = 'export { type A, b, c as d } from "./x.ts";\nexport function e() { b(); } // b\n';
  assert.deepEqual(exportedValues(face), ["b", "d", "e"]);
  const user = 'import { a, type B, c as d } from "#x"; // e\nexport { f } from "#y";\n' +
    'import { h } from "./h.ts";\n';
  const taken = ["#x", "#y"].flatMap((from) =>
    ["a", "B", "c", "d", "e", "f", "h"].filter((name) => takes(user, from, name))
      .map((name) => `${from} ${name}`));
  assert.deepEqual(taken, ["#x a", "#x c", "#y f"]);
  const later = 'await import("#z").then(({ g }) => g()); // h\n';
  assert.deepEqual(["g", "h"].map((name) => takes(later, "#z", name)), [true, false]);
});

test("speaksOf() does not count what a brick says of itself, nor lists of names", () => {
  const itself = "export class Keys {\n  static of() {\n    return new Keys();\n  }\n}\n";
  for (const idle of [itself, 'export { Keys } from "./k.ts";\n', "// Keys\n",
    "export const Keys = 1;\n"]) assert.equal(speaksOf(idle, "Keys"), false, idle);
  assert.equal(speaksOf(`${itself}const keys = new Keys();\n`, "Keys"), true);
});
