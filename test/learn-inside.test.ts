/** A test of a reader's code that looks inside a subsystem looks inside theirs. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OWN_FILES } from "../scripts/lib/own-inside.mjs";

const LIB = new URL("../scripts/lib/", import.meta.url).href;
let root = "";
before(() => void (root = mkdtempSync(join(tmpdir(), "titan-inside-"))));
after(() => rmSync(root, { recursive: true, force: true }));

function run(helper: string, file: string, env: Readonly<Record<string, string>>): string {
  const { NODE_TEST_CONTEXT: _, ...others } = process.env;
  const args = [`--import=${LIB}${helper}.mjs`, "--test-reporter=tap", join(root, file)];
  return spawnSync(process.execPath, args, { encoding: "utf8", env: { ...others, ...env } }).stdout;
}

const HEAD = 'import { test } from "node:test";\n';

test("a test that looks inside a subsystem looks inside the reader's", () => {
  for (const folder of ["test", "src", "own"]) mkdirSync(join(root, folder));
  const [ours, theirs] = ["src", "own"].map((folder) => join(root, folder, "side.mjs"));
  writeFileSync(ours!, 'export const side = "ours";');
  writeFileSync(theirs!, 'export const side = "theirs";');
  writeFileSync(join(root, "test/side.test.mjs"), `${HEAD}import { side } from "../src/side.mjs";
test(side, () => {});
`);
  const said = run("own-inside", "test/side.test.mjs", {
    [OWN_FILES]: JSON.stringify({ [ours!]: theirs }),
  });
  assert.match(said, /^ok 1 - theirs$/m);
});
