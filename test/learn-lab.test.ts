/** The labs: their budgets are missed at first, can be kept, and a prediction is judged. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { tell } from "../scripts/learn/lab.ts";
import type { Lab, LabResult } from "../scripts/learn/lab-kit.ts";
import { listChapters } from "../scripts/lib/chapters.mjs";
import { programArguments } from "../scripts/lib/compiled.mjs";

const ROOT = join(import.meta.dirname, "..");
const LABS = listChapters(ROOT).map(({ id }) => `lessons/${id}/lab.ts`)
  .filter((file) => existsSync(join(ROOT, file)) ||
    existsSync(join(ROOT, file.replace(/\.ts$/, ".js"))));

async function ask<T>(file: string, ...args: string[]): Promise<T> {
  const program = [...programArguments(ROOT, file), ...args];
  const { stdout } = await promisify(execFile)(process.execPath, program, { cwd: ROOT });
  return JSON.parse(stdout) as T;
}

test("each lab misses its budget at first, keeps it at its solution, repeats itself", async () => {
  assert.ok(LABS.length >= 4, `${LABS.length} labs`);
  await Promise.all(LABS.map(async (file) => {
    const lab = await ask<Lab>(file);
    assert.ok(lab.least <= lab.first && lab.first <= lab.most, file);
    const [first, solved, again] = await Promise.all([lab.first, lab.solution, lab.solution]
      .map((value) => ask<LabResult>(file, String(value))));
    assert.equal(first!.isWithin, false, `${file} at ${lab.first}`);
    assert.equal(solved!.isWithin, true, `${file} at ${lab.solution}`);
    assert.deepEqual(again, solved, `${file} repeats itself`);
  }));
});

test("tell() shows the numbers, judges the prediction, explains once the budget is kept", () => {
  const lab = {
    title: "Silence", about: "", knob: "lease", unit: "ms", least: 1, most: 9, first: 1,
    solution: 2, budget: "no more than 6 s", why: "Because.",
  };
  const numbers = [{ name: "waits", value: 4, unit: "s" }, { name: "lost", value: 1234, unit: "" }];
  const said = (predicted: string, isWithin: boolean): string[] =>
    tell(lab, { value: 5, predicted, result: { numbers, isWithin } });
  assert.deepEqual(said("", true),
    ["lease 5 ms", "  waits  4 s", "  lost   1,234", "Within the budget. Because."]);
  assert.deepEqual(said("4", false).slice(3),
    ["You said 4 s: exactly so.", "Not within the budget: no more than 6 s."]);
  assert.equal(said("4.5", true)[3], "You said 4.5 s: near enough.");
  assert.equal(said("9", true)[3], "You said 9 s: too much.");
  assert.equal(said("1", true)[3], "You said 1 s: too little.");
  assert.equal(said("x", true)[3], "Your prediction is no number.");
});
