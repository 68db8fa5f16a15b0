/** What a machine adds to a lesson, and takes away again. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { furnish, furnishAll, strip } from "../scripts/learn/captions.ts";
import { countWords, parseMarkdown } from "../scripts/learn/markdown.ts";
import { loadProject } from "../scripts/learn/project.ts";

const ROOT = join(import.meta.dirname, "..");
const project = loadProject(ROOT);

test("furnish() finds every lesson as it wants it, and again what strip() has taken away", () => {
  assert.ok(project.lessons.length > 20);
  for (const lesson of project.lessons) {
    const text = readFileSync(join(ROOT, lesson.readme), "utf8");
    const old = firstDifference(text, furnish(project, lesson, text));
    assert.equal(old, undefined, `${lesson.readme}: ${old}\n` +
      "This writes all captions anew: npm run learn check -- --captions");
    const bare = strip(text);
    assert.notEqual(bare, text);
    assert.equal(furnish(project, lesson, bare), text, lesson.id);
    const words = (markdown: string): number => countWords(parseMarkdown(markdown));
    assert.equal(words(text), words(bare), `${lesson.id}: captions are no prose`);
  }
});

/** The texts are long: one line says enough. */
function firstDifference(found: string, wanted: string): string | undefined {
  const lines = found.split("\n");
  const at = wanted.split("\n").findIndex((line, index) => line !== lines[index]);
  if (at >= 0) return `line ${at + 1} should be ${wanted.split("\n")[at]}`;
  return found === wanted ? undefined : "it has more lines than it should";
}

/** Counted here by its markers, as a reader would. */
function captionOf(file: string, region: string): string {
  const lines = readFileSync(join(ROOT, "src/log", file), "utf8").split("\n");
  const from = lines.findIndex((line) => line.endsWith(`#region ${region}`)) + 2;
  const to = lines.findIndex((line, at) => at >= from && line.endsWith("#endregion"));
  return `*[src/log/${file}, lines ${from} to ${to}](../../src/log/${file}#L${from}-L${to})*`;
}

test("furnish() folds a quote with an exercise in it, and no other one", () => {
  const lesson = project.lessons.find(({ number }) => number === 5)!;
  const quote = (of: string): string => `\`\`\`ts from=src/log/${of}\nx\n\`\`\`\n`;
  const text = furnish(project, lesson, `# 05. A: b\n\na\n\n${quote("record.ts#encode")}\nb\n\n` +
    `${quote("log.ts#commit")}\nc\n\n*A pause.*\n\n*d?*\n`);
  assert.equal(text, `# 05. A: b

[04 rpc](../04-rpc/README.md) ← 0 minutes, in two sittings → [06 dag](../06-dag/README.md)

a

<details>
<summary>Ours, from src/log/record.ts: write yours first</summary>

\`\`\`ts from=src/log/record.ts#encode
x
\`\`\`

${captionOf("record.ts", "encode")}

</details>

b

\`\`\`ts from=src/log/log.ts#commit
x
\`\`\`

${captionOf("log.ts", "commit")}

c

*A pause.*

*d?*
`);
});

test("a quote of a whole file names all its lines, a quote of nothing only the file", () => {
  const lesson = project.lessons.find(({ number }) => number === 5)!;
  const captionsOf = (from: string): string[] =>
    furnish(project, lesson, `# 05. A: b\n\n\`\`\`ts from=${from}\nx\n\`\`\`\n`)
      .split("\n").filter((line) => line.startsWith("*["));
  const count = readFileSync(join(ROOT, "src/log/mod.ts"), "utf8").trimEnd().split("\n").length;
  assert.deepEqual(captionsOf("src/log/mod.ts"),
    [`*[src/log/mod.ts, lines 1 to ${count}](../../src/log/mod.ts#L1-L${count})*`]);
  for (const [file, region] of [["mod.ts", "nobody"], ["none.ts", "at"]]) {
    const bare = `*[src/log/${file}](../../src/log/${file})*`;
    assert.deepEqual(captionsOf(`src/log/${file}#${region}`), [bare]);
  }
});

test("lines that have moved are written anew, in the lessons asked for and no others", (t) => {
  const root = mkdtempSync(join(tmpdir(), "titan-captions-"));
  t.after(() => rmSync(root, { recursive: true }));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  write("package.json", "{}");
  for (const lesson of ["01-one", "02-two"]) {
    write(`lessons/${lesson}/README.md`, "# A: b\n\n```ts from=src/one/mod.ts#a\nx\n```\n");
  }
  write("src/one/mod.ts", "// #region a\nx\n// #endregion\n");
  const small = loadProject(root);
  assert.deepEqual(furnishAll(small, ["02-two"]), ["lessons/02-two/README.md"]);
  assert.deepEqual(furnishAll(small), ["lessons/01-one/README.md"]);
  assert.deepEqual(furnishAll(small), []);
  write("src/one/mod.ts", "// One line more.\n// #region a\nx\n// #endregion\n");
  assert.deepEqual(furnishAll(small).length, 2);
  const text = readFileSync(join(root, "lessons/01-one/README.md"), "utf8");
  assert.ok(text.endsWith("\n*[src/one/mod.ts, line 3](../../src/one/mod.ts#L3-L3)*\n"), text);
});

test("strip() leaves what only looks like a caption: in a fence, in a sentence", () => {
  const text = "# 05. A: b\n\n```text\n*[a](b)*\n</details>\n```\n\nSee *[a](b)* there.\n";
  assert.equal(strip(text), text);
});
