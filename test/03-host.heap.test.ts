/** The heap of a process, as its options name it, whichever Node runs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { heapLimit } from "#host";
import { programArguments } from "../scripts/lib/compiled.mjs";
import { ROOT } from "../scripts/bootstrap.mjs";

const MB = 2 ** 20;

test("heapLimit() is the room for what lives and 48 MB, in each version of V8", () => {
  const old = 256;
  for (const [v8, young] of [["11.3.244.8-node.38", 48], ["12.4.254.21-node.57", 48],
    ["13.6.233.17-node.53", 192], ["14.6.202.34-node.12", 96], ["15.0.1", 192]] as const) {
    assert.equal(heapLimit((old + young) * MB, v8), (old + 48) * MB, v8);
  }
  assert.equal(heapLimit(64 * MB, "13.6"), 0);
});

test("heapLimit() of a process with --max-old-space-size is that and 48 MB", () => {
  const program = programArguments(ROOT, "test/03-host.heap-child.ts");
  const args = ["--max-old-space-size=100", ...program];
  assert.equal(execFileSync(process.execPath, args, { encoding: "utf8" }), `${148 * MB}\n`);
});
