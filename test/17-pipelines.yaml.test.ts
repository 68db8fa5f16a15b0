/** Chapter 17, the brick: a YAML reader that refuses what it would have to guess. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  emitYaml, excerpt, MAX_BYTES, MAX_DEPTH, MAX_NODES, normalizeYaml, parseYaml, resolveScalar,
  toValue, YamlError, type MappingNode, type SequenceNode, type YamlNode,
} from "#yaml";

function read(text: string): unknown {
  return toValue(parseYaml(text, { file: "f.yaml" }), { file: "f.yaml", text });
}

function refusal(text: string): YamlError {
  try {
    const value = read(text);
    assert.fail(`${JSON.stringify(text)} was read as ${JSON.stringify(value)}`);
  } catch (error) {
    if (error instanceof YamlError) return error;
    throw error;
  }
}

/** A ":" on a later line than its key, with text right behind it. */
const GLUED = 'this ":" would go on with the text above it: put a space behind it';

const NO_BLOCK = "begins a block of text, which cannot stand here; quote it if it is text";

/** Text, code, and the exact first line. */
const REFUSED: [text: string, code: string, line: string][] = [
  ["a: 1\n\tb: 2", "TAB_INDENT", "f.yaml:2:1: a tab in the indentation: use spaces"],
  ["a:\n  \tb: 2", "TAB_INDENT", "f.yaml:2:3: a tab in the indentation: use spaces"],
  ["a:\n\t- b", "TAB_INDENT", "f.yaml:2:1: a tab in the indentation: use spaces"],
  ["-\t- a", "TAB_INDENT", "f.yaml:1:2: a tab in the indentation: use spaces"],
  ["a: |\n\tb", "TAB_INDENT", "f.yaml:2:1: a tab in the indentation: use spaces"],
  ["k:\n  a: [1,\n\t2]", "TAB_INDENT", "f.yaml:3:1: a tab in the indentation: use spaces"],
  ["a: 1\na: 2", "DUPLICATE_KEY", 'f.yaml:2:1: the key "a" is already in line 1'],
  ["{a: 1, 'a': 2}", "DUPLICATE_KEY", 'f.yaml:1:8: the key "a" is already in line 1'],
  [
    "a: b: c",
    "UNEXPECTED",
    'f.yaml:1:5: ": " inside a value on the line of its key: quote the value, ' +
      'write "a: |" and the text below it, or begin the map on the next line',
  ],
  ["a: - b", "UNEXPECTED", 'f.yaml:1:4: a "- " list must begin on its own line'],
  [
    "a: b\n  - c",
    "BAD_INDENT",
    "f.yaml:2:3: a list item inside a text of several lines: check the indentation, " +
      "or quote the text",
  ],
  [
    "a: b\n   c: d",
    "BAD_INDENT",
    'f.yaml:2:4: the key "c" inside a text of several lines: check the indentation',
  ],
  [
    "a:\n  b: 1\n c: 2",
    "BAD_INDENT",
    "f.yaml:3:2: unexpected indentation: this belongs neither to the line above nor to the " +
      "entries that begin in column 1",
  ],
  [
    "- a\n - b",
    "BAD_INDENT",
    "f.yaml:2:2: a list item inside a text of several lines: check the indentation, " +
      "or quote the text",
  ],
  [
    "- a\nb: c",
    "BAD_INDENT",
    "f.yaml:2:1: unexpected text behind the document: check the indentation",
  ],
  [
    "a: 1\n- b",
    "UNEXPECTED",
    "f.yaml:2:1: a list item among the keys of a map: check the indentation",
  ],
  [
    "a: |\n    x\n  y",
    "BAD_INDENT",
    "f.yaml:3:3: unexpected indentation: this belongs neither to the line above nor to the " +
      "entries that begin in column 1",
  ],
  [
    "a: |\n    \n  x",
    "BAD_INDENT",
    "f.yaml:3:3: the blank lines above are indented further (4) than this first line (2)",
  ],
  ["a: | x", "UNEXPECTED", 'f.yaml:1:6: text behind "|": it starts on the next line'],
  [
    "b: 1\nkey:value",
    "UNEXPECTED",
    'f.yaml:2:1: expected "key: value", found no ": " (put a space behind the ":")',
  ],
  ["b: 1\nkey", "UNEXPECTED", 'f.yaml:2:1: expected "key: value", found no ": "'],
  [": a", "UNEXPECTED", 'f.yaml:1:1: there is no key before this ":"'],
  ["'a\n b': c", "UNEXPECTED", "f.yaml:1:1: a key must be on one line"],
  ['a: "b', "UNTERMINATED", "f.yaml:1:4: this quote is not closed"],
  [
    'a: "b\nc: "d"',
    "UNTERMINATED",
    "f.yaml:1:4: this quote is not closed before line 2, which is indented less",
  ],
  ["a: 'it''", "UNTERMINATED", "f.yaml:1:4: this quote is not closed"],
  ["a: [1, 2", "UNTERMINATED", 'f.yaml:1:4: this bracket has no closing "]"'],
  [
    "a: [1,\nb: 2",
    "UNTERMINATED",
    'f.yaml:1:4: this bracket has no closing "]" before line 2, which is indented less',
  ],
  ["a: {b: 1]", "UNEXPECTED", 'f.yaml:1:9: expected "," or "}"'],
  ["a: [1 2}", "UNEXPECTED", 'f.yaml:1:8: expected "," or "]"'],
  ["a: ]", "UNEXPECTED", 'f.yaml:1:4: unexpected "]"'],
  [
    "k: &a &b c",
    "UNSUPPORTED",
    "f.yaml:1:7: an anchor names a value, not another anchor or an alias",
  ],
  ["[| a]", "UNEXPECTED", `f.yaml:1:2: "|" ${NO_BLOCK}`],
  ["{>: 1}", "UNEXPECTED", `f.yaml:1:2: ">" ${NO_BLOCK}`],
  ["{x\n:y}", "UNEXPECTED", `f.yaml:2:1: ${GLUED}`],
  ["{x\n::y}", "UNEXPECTED", `f.yaml:2:1: ${GLUED}`],
  ["{x\n\n:y}", "UNEXPECTED", `f.yaml:3:1: ${GLUED}`],
  ["{a: 1, x\n :y}", "UNEXPECTED", `f.yaml:2:2: ${GLUED}`],
  ["{x #c\n:y}", "UNEXPECTED", `f.yaml:2:1: ${GLUED}`],
  ["a: {x\n  :#}", "UNEXPECTED", `f.yaml:2:3: ${GLUED}`],
  ["[a,, b]", "UNEXPECTED", 'f.yaml:1:4: nothing before this ",": write null or ""'],
  ["[a: b]", "UNSUPPORTED", "f.yaml:1:3: a key inside [ ]: write {key: value}"],
  [
    "{a}",
    "UNEXPECTED",
    'f.yaml:1:2: the key "a" has no value: write {key: value}, or [ ] for a list',
  ],
  ["{a:1}", "UNEXPECTED", 'f.yaml:1:2: the key "a:1" has no value: put a space behind the ":"'],
  ["[- a]", "UNEXPECTED", 'f.yaml:1:2: a "- " list cannot stand inside brackets'],
  ['a: "b" c', "UNEXPECTED", "f.yaml:1:8: unexpected text behind the closing quote"],
  [
    'a: "b"#c',
    "UNEXPECTED",
    'f.yaml:1:7: unexpected text behind the closing quote (a comment needs a space before "#")',
  ],
  ["a: [b] c", "UNEXPECTED", "f.yaml:1:8: unexpected text behind the closing bracket"],
  [
    '"\\q"',
    "BAD_ESCAPE",
    "f.yaml:1:2: unknown escape \\q: write \\\\ for a backslash, or use 'single quotes'",
  ],
  ['"\\x4"', "BAD_ESCAPE", "f.yaml:1:2: \\x needs 2 hexadecimal digits of a character"],
  ['"\\ud83d!"', "BAD_ESCAPE", "f.yaml:1:2: \\ud83d is half of a character"],
  ['"\\U00110000"', "BAD_ESCAPE", "f.yaml:1:2: \\U needs 8 hexadecimal digits of a character"],
  ["a: *b", "BAD_ALIAS", "f.yaml:1:4: alias *b has no anchor &b before it"],
  ["a: &b [*b]", "BAD_ALIAS", "f.yaml:1:8: alias *b stands inside its own anchor (line 1)"],
  ["a: &b 1\nc: &b 2", "BAD_ALIAS", "f.yaml:2:4: anchor &b is already defined in line 1"],
  [
    "- &a k: v",
    "UNSUPPORTED",
    "f.yaml:1:3: an anchor before a key would name the key only: put it behind the colon, " +
      "or on the line above the map",
  ],
  ["a: &x\nb: 1\n*x : 2", "UNSUPPORTED", "f.yaml:3:1: a key must be text, not an alias"],
  ["[a]: b", "UNSUPPORTED", "f.yaml:1:1: a key must be text, not a collection"],
  ["? a\n: b", "UNSUPPORTED", 'f.yaml:1:1: complex keys ("? ") are not supported'],
  ["a:\n  <<: *b", "BAD_ALIAS", "f.yaml:2:7: alias *b has no anchor &b before it"],
  [
    "a:\n  <<: b",
    "UNSUPPORTED",
    'f.yaml:2:7: "<<" merges maps (*name, or a list of them), found the text "b"',
  ],
  [
    "a:\n  <<:",
    "UNSUPPORTED",
    'f.yaml:2:6: "<<" merges maps (*name, or a list of them), found nothing',
  ],
  [
    "a: &a [1]\nb: {<<: [{}, *a]}",
    "UNSUPPORTED",
    'f.yaml:1:7: "<<" merges maps (*name, or a list of them), found a list',
  ],
  ["<<: {}\nb: 1\n<<: {}", "DUPLICATE_KEY", 'f.yaml:3:1: the key "<<" is already in line 1'],
  [
    "a: !!str 1",
    "UNSUPPORTED",
    "f.yaml:1:4: tags (!name) are not supported: types come from the schema",
  ],
  [
    "a: !secret x",
    "UNSUPPORTED",
    "f.yaml:1:4: tags (!name) are not supported: types come from the schema",
  ],
  ["%YAML 1.2\n---\na", "UNSUPPORTED", "f.yaml:1:1: directives (%YAML, %TAG) are not supported"],
  ["a: 1\n---\nb: 2", "UNSUPPORTED", "f.yaml:2:1: a second document: one file holds one"],
  ["a: 1\n...\nb: 2", "UNSUPPORTED", "f.yaml:3:1: a second document: one file holds one"],
  ["a: @b", "UNEXPECTED", 'f.yaml:1:4: text cannot begin with "@": quote it'],
  ["a: `b`", "UNEXPECTED", 'f.yaml:1:4: text cannot begin with "`": quote it'],
  ["a: %b", "UNSUPPORTED", 'f.yaml:1:4: text cannot begin with "%": quote it'],
  [
    "a: b\0c",
    "BAD_CHARACTER",
    "f.yaml:1:5: the character U+0000 cannot stand in a text: " +
      'write it as an escape in "double quotes"',
  ],
  [
    "a: 1\nb: \x1b[31m",
    "BAD_CHARACTER",
    "f.yaml:2:4: the character U+001B cannot stand in a text: " +
      'write it as an escape in "double quotes"',
  ],
  ["a: 1\rb: 2", "BAD_CHARACTER", "f.yaml:1:5: a carriage return without a line feed"],
  [
    "a: \ud83d",
    "BAD_CHARACTER",
    "f.yaml:1:4: the character U+D83D cannot stand in a text: " +
      'write it as an escape in "double quotes"',
  ],
  [
    "a: \ufeffb",
    "BAD_CHARACTER",
    "f.yaml:1:4: the character U+FEFF cannot stand in a text: " +
      'write it as an escape in "double quotes"',
  ],
  [
    "a: 012",
    "AMBIGUOUS",
    "f.yaml:1:4: 012 is ambiguous: YAML 1.1 reads 10, YAML 1.2 reads 12; write 12, " +
      'or quote it to mean the text "012"',
  ],
  [
    "a: 09",
    "AMBIGUOUS",
    "f.yaml:1:4: 09 is ambiguous: YAML 1.1 reads text, YAML 1.2 reads 9; write 9, " +
      'or quote it to mean the text "09"',
  ],
  [
    "a: 0o14",
    "AMBIGUOUS",
    "f.yaml:1:4: 0o14 is ambiguous: YAML versions disagree about this notation; " +
      'quote it to mean the text "0o14"',
  ],
  [
    "a: 1_000",
    "AMBIGUOUS",
    "f.yaml:1:4: 1_000 is ambiguous: YAML 1.1 reads a number, YAML 1.2 text; write 1000, " +
      'or quote it to mean the text "1_000"',
  ],
  [
    "a: 12:30:00",
    "AMBIGUOUS",
    "f.yaml:1:4: 12:30:00 is ambiguous: YAML 1.1 reads a number in base 60, YAML 1.2 text; " +
      'quote it to mean the text "12:30:00"',
  ],
  [
    "a: 9007199254740993",
    "AMBIGUOUS",
    "f.yaml:1:4: 9007199254740993 is ambiguous: a number cannot hold it exactly; " +
      'quote it to mean the text "9007199254740993"',
  ],
  [
    "a: 1e999",
    "AMBIGUOUS",
    "f.yaml:1:4: 1e999 is ambiguous: it is too large for a number; " +
      'quote it to mean the text "1e999"',
  ],
  [
    "a: .inf",
    "AMBIGUOUS",
    'f.yaml:1:4: .inf is ambiguous: JSON has no such number; quote it to mean the text ".inf"',
  ],
];

test("parseYaml() refuses by name, with the place, what it would have to guess", () => {
  for (const [text, code, line] of REFUSED) {
    const error = refusal(text);
    assert.deepEqual([error.message, error.code], [line, code], JSON.stringify(text));
    assert.equal(error.format().split("\n")[0], line);
  }
});

test("YamlError.format() puts the caret under the column, behind tabs and " +
  "wide characters too", () => {
  assert.equal(
    refusal("ok: 1\na: 012 # year\n").format().split("\n").slice(1).join("\n"),
    "  2 | a: 012 # year\n    |    ^^^",
  );
  assert.equal(excerpt("\ta: !x", { line: 1, column: 5 }), "  1 | \ta: !x\n    | \t   ^");
  assert.equal(excerpt("名前: !x", { line: 1, column: 5 }), "  1 | 名前: !x\n    |       ^");
  const long = `${"x".repeat(100_000)}: ${"y".repeat(1000)}`;
  for (const line of excerpt(long, { line: 1, column: 100_003, length: 1000 }).split("\n")) {
    assert.ok(line.length < 120, line);
  }
});

/** Text and its value. */
const READ: [text: string, value: unknown][] = [
  ["", null],
  ["# only a comment\n", null],
  ["--- a\n...\n# end\n", "a"],
  ["\ufeffa: 1\r\nb:\r\n  - c\r\n", { a: 1, b: ["c"] }],
  ["a: 1 # one\nb:   # nothing\nc: d#e\n", { a: 1, b: null, c: "d#e" }],
  [
    "a:\n- b\n- c: 1\n  d: 2\n-\n  - e\n- - f\n  - g\nh: i",
    { a: ["b", { c: 1, d: 2 }, ["e"], ["f", "g"]], h: "i" },
  ],
  ["a:\n    b:\n     c: 1\n    d: 2", { a: { b: { c: 1 }, d: 2 } }],
  ["a: [1, [b, 'c'], {d: , e: f}, ]\n", { a: [1, ["b", "c"], { d: null, e: "f" }] }],
  ["a: [\n  1, # one\n  2\n]\nb: {\n  c: d\n  }", { a: [1, 2], b: { c: "d" } }],
  [
    '{"a":1,"b"\n:\t[true,null,-0.5e3,"\\u00e9\\ud83d\\ude00\\/"]}',
    { a: 1, b: [true, null, -500, "é😀/"] },
  ],
  ["a: b c\n  d\n\n  e # f\n", { a: "b c d\ne" }],
  ["a: 'b\n  c ''d''\n\n  e'", { a: "b c 'd'\ne" }],
  ['a: "b \\\n  c\\td\n\n  e\\x41"', { a: "b c\td\neA" }],
  ["a: |\n  b\n   c\n\n  d\n\n\ne: 1", { a: "b\n c\n\nd\n", e: 1 }],
  ["- |+\n   ", ["\n"]],
  ["a: |+\n  x\n  ", { a: "x\n" }],
  ["- |\n  ", [""]],
  ["a: |-\n  b\n\nc: |+\n  d\n\ne: |2\n    f\n", { a: "b", c: "d\n\n", e: "  f\n" }],
  ["a: >\n  b\n  c\n\n  d\n    e\n  f\n", { a: "b c\nd\n  e\nf\n" }],
  ["- |\n \ttab\n- >-\n  x\n  y", ["\ttab\n", "x y"]],
  [
    "a: &x [1, {b: 2}]\nc: *x\nd: &e\nf: *e",
    { a: [1, { b: 2 }], c: [1, { b: 2 }], d: null, f: null },
  ],
  ["&top\na: 1", { a: 1 }],
  ["on: 1\nnull: 2\n1.0: 3\n'': 4", { on: 1, null: 2, "1.0": 3, "": 4 }],
  [
    "a: no\nb: yes\nc: On\nd: ~\ne: True\nf: 'true'\ng: 2024-01-31\nh: 0x1F\ni: +12\nj: 1e3\nk: .5",
    {
      a: "no",
      b: "yes",
      c: "On",
      d: null,
      e: true,
      f: "true",
      g: "2024-01-31",
      h: 31,
      i: 12,
      j: 1000,
      k: 0.5,
    },
  ],
  [
    "a: http://x:80/?y=[z]#w\nb: -c\nc: ?d\nd: :e\ne: a - b",
    { a: "http://x:80/?y=[z]#w", b: "-c", c: "?d", d: ":e", e: "a - b" },
  ],
  ["a: -0", { a: 0 }],
];

test("parseYaml() reads blocks, brackets, scalars of every style, comments, " +
  "anchors and aliases", () => {
  for (const [text, value] of READ) assert.deepEqual(read(text), value, JSON.stringify(text));
});

test("parseYaml() gives every key and value its line and column", () => {
  const root = parseYaml("\ufeffa: 1\r\nbc:\r\n  - de\r\n  - {f: 'g'}\r\n");
  const places: string[] = [];
  (function walk(node: typeof root): void {
    if (node.kind === "scalar") {
      places.push(`${node.text}@${node.line}:${node.column}+${node.length}`);
    } else if (node.kind === "sequence") node.items.forEach(walk);
    else for (const { key, value } of node.entries) (walk(key), walk(value));
  })(root);
  assert.deepEqual(places, ["a@1:1+1", "1@1:4+1", "bc@2:1+2", "de@3:5+2", "f@4:6+1", "g@4:9+3"]);
});

test("toValue() makes __proto__ an ordinary key and changes no prototype", () => {
  const value = read("__proto__: {polluted: true}\nconstructor: 1\n") as Record<string, unknown>;
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(value["polluted"], undefined);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("resolveScalar() takes only plain text for anything but text", () => {
  for (const text of ["1", "true", "null", "012", "no", ""]) {
    for (const style of ["single", "double", "literal", "folded"] as const) {
      assert.deepEqual(resolveScalar({ text, style }), { type: "text", value: text });
    }
  }
  for (const [word, boolean] of [
    ["no", false],
    ["N", false],
    ["off", false],
    ["yes", true],
    ["ON", true],
    ["y", true],
  ] as const) {
    assert.deepEqual(resolveScalar({ text: word, style: "plain" }), {
      type: "text",
      value: word,
      boolean,
    });
  }
});

test("parseYaml() merges maps under <<: own keys win, of a list the earlier map wins", () => {
  const base = "base: &base {a: 1, b: 2}\nmore: &more\n  b: 3\n  c: 4\n";
  const cases: [text: string, value: unknown][] = [
    ["x:\n  <<: *base\n  b: 9", { a: 1, b: 9 }],
    ["x:\n  b: 9\n  <<: *base", { a: 1, b: 9 }],
    ["x: {<<: [*base, *more], d: 5}", { a: 1, b: 2, c: 4, d: 5 }],
    ["x: {<<: [*more, *base]}", { a: 1, b: 3, c: 4 }],
    ["x:\n  <<:\n    - *more\n    - {e: 6}\n", { b: 3, c: 4, e: 6 }],
    ["y: &y {<<: *base, b: 7}\nx: {<<: *y, a: 8}", { a: 8, b: 7 }],
    ["x: {<<: {}}", {}],
    ["x: {<<: []}", {}],
    ['x: {"<<": *base}', { "<<": { a: 1, b: 2 } }],
    ["x: {<<: {__proto__: 1}}", JSON.parse('{"__proto__": 1}')],
  ];
  for (const [text, value] of cases) {
    assert.deepEqual((toValue(parseYaml(base + text)) as { x: unknown }).x, value, text);
  }
  const [x] = (parseYaml("- &a {k: v}\n- {<<: *a}") as SequenceNode).items.slice(1);
  const entry = (x as MappingNode).entries[0];
  assert.deepEqual(
    [entry?.key.line, entry?.key.column],
    [1, 7],
    "an entry keeps the place where it was written",
  );
});

test("parseYaml() counts merged maps as if they were written out", () => {
  const laughs = ["a0: &a0 {x0: 1, y0: 2}"];
  for (let i = 1; i < 40; i++) {
    laughs.push(`a${i}: &a${i} {<<: [*a${i - 1}, *a${i - 1}], x${i}: 1, n: {<<: *a${i - 1}}}`);
  }
  assert.throws(
    () => parseYaml(laughs.join("\n")),
    (error) => error instanceof YamlError && error.code === "TOO_MANY_NODES",
  );
});

test("parseYaml() counts aliases as if they were written out: a billion laughs are refused", () => {
  const laughs = ["a0: &a0 [ha, ha]"];
  for (let i = 1; i < 30; i++) laughs.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
  // Not toValue(): if this were accepted, a billion values would be made.
  assert.throws(() => parseYaml(laughs.join("\n")), { code: "TOO_MANY_NODES" });
  const text = `- &a "${"x".repeat(100_000)}"\n${"- *a\n".repeat(100)}`;
  assert.equal(refusal(text).code, "TOO_LARGE");
  assert.equal((read("- &a xy\n- *a\n- *a") as string[]).length, 3);
});

test("parseYaml() counts the depth of aliases: a chain of anchors cannot overflow a stack", () => {
  const chain = ["- &a0 [x]"];
  for (let i = 1; i < 2 * MAX_DEPTH; i++) chain.push(`- &a${i} [*a${i - 1}]`);
  assert.equal(refusal(chain.join("\n")).code, "TOO_DEEP");
  assert.doesNotThrow(() => read(chain.slice(0, MAX_DEPTH - 1).join("\n")));
});

test("parseYaml() refuses 10 MB of any kind of nesting at MAX_DEPTH, at once", () => {
  const size = 10 * 1024 * 1024;
  const limits = { maxBytes: 2 * size };
  const nested = {
    "[": "[".repeat(size),
    "{a: ": "{a: ".repeat(size / 4),
    "- ": "- ".repeat(size / 2),
    "a:\\n": Array.from({ length: 4000 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""),
    "[\\n": "[\n".repeat(size / 2),
  };
  for (const [name, text] of Object.entries(nested)) {
    const start = process.cpuUsage();
    assert.throws(
      () => parseYaml(text, { limits }),
      (error) => error instanceof YamlError && error.code === "TOO_DEEP",
      name,
    );
    assert.ok(process.cpuUsage(start).user < 2e6, name);
  }
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.doesNotThrow(() => parseYaml(deep(MAX_DEPTH)));
  assert.equal(refusal(deep(MAX_DEPTH + 1)).code, "TOO_DEEP");
});

test("parseYaml() refuses a text longer than MAX_BYTES before reading it, and more than " +
  "MAX_NODES values", () => {
  assert.equal(refusal("a".repeat(MAX_BYTES + 1)).code, "TOO_LARGE");
  assert.equal(refusal("é".repeat(MAX_BYTES / 2 + 1)).code, "TOO_LARGE");
  const list = (length: number) => `[${"a,".repeat(length)}]`;
  assert.doesNotThrow(() => parseYaml(list(9), { limits: { maxNodes: 10 } }));
  assert.throws(() => parseYaml(list(10), { limits: { maxNodes: 10 } }), {
    code: "TOO_MANY_NODES",
  });
  assert.ok(MAX_NODES * 8 >= MAX_BYTES / 2, "a pipeline of ordinary jobs meets MAX_BYTES first");
});

test("parseYaml() takes time in proportion to the text, whatever fills it", () => {
  // Sixty-four times the text may take some 64 times as long; 1000 leaves room for whatever else
  // this machine does at the moment, and a reader that looks back would need 4096.
  const fillers: [name: string, make: (size: number) => string][] = [
    ["a long plain line", (n) => `a: ${"x ".repeat(n / 2)}`],
    ["many plain lines", (n) => `a:\n${"  x\n".repeat(n / 4)}`],
    ["blank lines", (n) => `a: b\n${" \n".repeat(n / 2)}c: d`],
    ["comments", (n) => `a: b\n${"# c\n".repeat(n / 4)}c: d`],
    ["quoted lines", (n) => `a: "${"x\n ".repeat(n / 3)}"`],
    ["blanks inside quotes", (n) => `a: "x${" \t".repeat(n / 2)}y\n  z"`],
    ["escapes", (n) => `a: "${"\\n".repeat(n / 2)}"`],
    ["a literal", (n) => `a: |\n${" x\n".repeat(n / 3)}`],
    ["a folded", (n) => `a: >\n${" x\n\n".repeat(n / 4)}`],
    ["keys", (n) => Array.from({ length: n / 16 }, (_, i) => `key${i}: 1\n`).join("")],
    ["a line of lists", (n) => `[${"[a],".repeat(n / 4)}]`],
    ["anchors", (n) => Array.from({ length: n / 20 }, (_, i) => `- &a${i} x\n- *a${i}\n`).join("")],
    ["blanks", (n) => `a: b${" ".repeat(n)}\nc: d`],
    ["digits", (n) => `a: '1${"1".repeat(n)}'`],
    ["colons", (n) => `a${":".repeat(n)}b: c`],
  ];
  const size = 8000;
  for (const [name, make] of fillers) {
    const [small, large] = [make(size), make(64 * size)];
    const time = (text: string, rounds: number) => {
      let best = Infinity;
      for (let i = 0; i < rounds; i++) {
        // Of the processor: other programs make us wait, and that says nothing about the reader.
        const start = process.cpuUsage();
        parseYaml(text);
        best = Math.min(best, process.cpuUsage(start).user / 1000);
      }
      return best;
    };
    const [one, many] = [time(small, 3), time(large, 1)];
    assert.ok(
      many < 1000 * Math.max(one, 1),
      `${name}: ${one.toFixed(1)} ms, 64 times as much: ${many.toFixed(1)} ms`,
    );
  }
});

test("resolveScalar() takes no exponential time over a row of underscores", () => {
  const start = process.cpuUsage();
  // Every further one doubled it: 30 took ten seconds.
  assert.equal(resolveScalar({ text: `1${"_".repeat(30)}x`, style: "plain" }).type, "text");
  assert.equal(resolveScalar({ text: `1${"_".repeat(30)}2`, style: "plain" }).type, "ambiguous");
  assert.ok(process.cpuUsage(start).user < 1e6);
});

test("YamlError.message shows the beginning of a name, however long it is", () => {
  const long = "n".repeat(100_000);
  for (const text of [
    `- *${long}`,
    `- &${long} 1\n- &${long} 2`,
    `&${long} [*${long}]`,
    `{? ${long}: 1}`,
    `{${long}}`,
    `${long}: 1\n${long}: 2`,
  ]) {
    assert.ok(refusal(text).message.length < 200, refusal(text).message.slice(0, 100));
  }
});

test("emitYaml() writes what parseYaml() reads back as the same value", () => {
  const values: unknown[] = [
    null, true, 0, -1.5, 1e21, 1e-7,
    "", "a", "no", "012", "1_000", "12:30", "null", "~", " x ", "x ", "- a", "a: b", "#", "a #b",
    "[a", "%", "@x", "!x", "&x", "*x", "|", ">", "'", '"', "\\", "---", "...",
    "a\nb", "a\nb\n", "a\n\nb", "\na", "a\n\n", " a\nb", "a\n  b\n c", "a\n \nb", "a\tb\nc",
    "a\r\nb", "\0\x1b\x7f\x85\u2028\ufeff\ufffe", "😀",
    "<<", "=", "0x1F", "1e3", ".5", "+", "-", "?", ":",
    [], {}, [[]], [{}], [[1, [2]], { a: [{ b: {} }] }],
    { "": 1, "a b": 2, "no": 3, "1": 4, "<<": 5, __proto: 6 },
    { a: ["x".repeat(80)], b: ["x\ny"], c: [null, true, 1, "1"] },
  ];
  for (const value of values) {
    for (const wrapped of [value, [value], { k: value }, [{ k: [value] }]]) {
      const text = emitYaml(wrapped);
      assert.deepEqual(read(text), wrapped, text);
    }
  }
});

/** A small generator with a seed, so that a failure can be repeated. */
function randomness(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("parseYaml() answers any text with a tree or a YamlError", () => {
  const pieces = [
    "a",
    "b: ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "'",
    '"',
    "|\n",
    ">-\n ",
    "#",
    " #",
    "&x ",
    "*x",
    "? ",
    "! ",
    "\t",
    "\\",
    "---\n",
    "...",
    "~",
    "012",
    "\ufeff",
    "\0",
    "é",
    "%",
  ];
  const seed = 20_240_229;
  const random = randomness(seed);
  for (let round = 0; round < 20_000; round++) {
    let text = "";
    for (let length = random(16); length >= 0; length--) text += pieces[random(pieces.length)];
    try {
      toValue(parseYaml(text));
    } catch (error) {
      assert.ok(
        error instanceof YamlError,
        `seed ${seed}, round ${round}: ${JSON.stringify(text)}: ${String(error)}`,
      );
      assert.ok(
        error.line >= 1 && error.column >= 1 && error.format().length < 600,
        JSON.stringify(text),
      );
    }
  }
});

/** Every entry as `key = value`, every item as `- = value`, as the spans cut them out. */
function cuts(text: string): string[] {
  const whole = normalizeYaml(text);
  const found: string[] = [];
  const visit = (node: YamlNode): void => {
    if (node.kind === "scalar") return;
    const parts = node.kind === "mapping"
      ? node.entries.map(({ span, value }) => ({ span, value }))
      : node.items.map((value, at) => ({ span: node.spans?.[at], value }));
    for (const { span, value } of parts) {
      assert.ok(span !== undefined, text);
      found.push(`${whole.slice(span.start, span.value)}=${whole.slice(span.value, span.end)}`);
      const line = whole.slice(0, span.start).split("\n").length;
      if (value.line >= line) visit(value); // the value of an alias stands elsewhere
    }
  };
  visit(parseYaml(text, { spans: true }));
  return found;
}

test("parseYaml() with spans says where each entry and item begins and ends", () => {
  assert.deepEqual(cuts("a: 1 # c\nb:\n  - x # c\n  - [y , {z:  }]\n# end\n"), [
    "a:= 1", "b:=\n  - x # c\n  - [y , {z:  }]", "-= x", "-= [y , {z:  }]", "=y", "={z:  }", "z:=",
  ]);
  assert.deepEqual(cuts("p: |  # c\n  one\n  two\n\nq: 'it''s'   # c\nr:\ns: >-\n  t"), [
    "p:= |  # c\n  one\n  two\n", "q:= 'it''s'", "r:=", "s:= >-\n  t",
  ]);
  assert.deepEqual(cuts("a: &x {k: v}  # c\nb: *x # c\nc:\n  - *x\n"), [
    "a:= &x {k: v}", "k:= v", "b:= *x", "c:=\n  - *x", "-= *x",
  ]);
  assert.deepEqual(cuts("\ufeffa: one\r\n  two\r\nb: 2\r\n"), ["a:= one\n  two", "b:= 2"]);
  assert.equal(parseYaml("a: [1]").kind === "mapping" && "span" in parseYaml("a: 1"), false);
});
