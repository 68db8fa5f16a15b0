/** Programs of scripts/: a wrong option is one line that says what is wrong, and exit code 2. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { programArguments } from "../scripts/lib/compiled.mjs";

const ROOT = join(import.meta.dirname, "..");

function run(name: string, ...args: string[]): { status: number | null; stderr: string } {
  const program = programArguments(ROOT, `scripts/${name}/main.ts`);
  const options = { cwd: ROOT, encoding: "utf8", timeout: 60_000 } as const;
  return spawnSync(process.execPath, [...program, ...args], options);
}

test("replay and book refuse what they do not know in one line", () => {
  const cases = [
    ["replay", /^Cannot replay: Unknown option '--nope' \(FILE…, .*\)\n$/, "--nope"],
    ["replay", /^Cannot replay: --workers must be .*, found "x" \(.*\)\n$/, "--workers", "x"],
    ["replay", /^Cannot replay: --scale must be .*, found "0" \(.*\)\n$/, "--scale", "0"],
    ["replay", /^Cannot replay: no\.json is no workflow: ENOENT.* \(.*\)\n$/, "no.json"],
    ["book", /^Cannot make the book: Unknown option '--nope' \(--out DIR\)\n$/, "--nope"],
  ] as const;
  for (const [name, words, ...args] of cases) {
    const { status, stderr } = run(name, ...args);
    assert.match(stderr, words);
    assert.equal(status, 2);
  }
});
