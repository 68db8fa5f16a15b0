/** What a machine adds to a lesson, and takes away again. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { furnish, strip } from "../scripts/learn/captions.ts";
import { countWords, parseMarkdown } from "../scripts/learn/markdown.ts";
import { loadProject } from "../scripts/learn/project.ts";

const ROOT = join(import.meta.dirname, "..");
const project = loadProject(ROOT);

test("furnish() finds every lesson as it wants it, and again what strip() has taken away", () => {
  assert.ok(project.lessons.length > 20);
  for (const lesson of project.lessons) {
    const text = readFileSync(join(ROOT, lesson.readme), "utf8");
    assert.equal(furnish(project, lesson, text), text, lesson.id);
    const bare = strip(text);
    assert.notEqual(bare, text);
    assert.equal(furnish(project, lesson, bare), text, lesson.id);
    const words = (markdown: string): number => countWords(parseMarkdown(markdown));
    assert.equal(words(text), words(bare), `${lesson.id}: captions are no prose`);
  }
});

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

*[src/log/record.ts](../../src/log/record.ts)*

</details>

b

\`\`\`ts from=src/log/log.ts#commit
x
\`\`\`

*[src/log/log.ts](../../src/log/log.ts)*

c

*A pause.*

*d?*
`);
});

test("strip() leaves what only looks like a caption: in a fence, in a sentence", () => {
  const text = "# 05. A: b\n\n```text\n*[a](b)*\n</details>\n```\n\nSee *[a](b)* there.\n";
  assert.equal(strip(text), text);
});
