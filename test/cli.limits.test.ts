/** Numbers on the command line: the largest that is taken, and the next one, which is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcess } from "./cli.support.ts";

/** Nobody listens there, which is what a command with good numbers finds out: exit 5. */
const NOBODY = ["--master", "127.0.0.1:1"];
/** Wrong, too, and noticed behind the numbers: exit 2 without a word about them. */
const BAD_TAG = ["--tags", "no tag", "--master", "127.0.0.1:1"];
const OPEN = ["--host", "0.0.0.0", "--port", "0"];

type Limits = [least: number, most: number];
const NUMBERS: [command: string[], flag: string, limits: Limits, rest: string[]][] = [
  [["runs"], "--limit", [1, 1_000_000], NOBODY],
  [["logs", "r/j"], "--tail", [0, 1_000_000], NOBODY],
  [["logs", "r/j"], "--attempt", [1, 2 ** 32 - 1], NOBODY],
  [["worker"], "--slots", [1, 4096], BAD_TAG],
  [["up"], "--slots", [1, 4096], OPEN],
  [["up"], "--workers", [0, 256], OPEN],
];

test("numbers are taken at their limits, and refused by name one beyond", async () => {
  for (const [command, flag, [least, most], rest] of NUMBERS) {
    const said = async (value: number): Promise<string> =>
      (await inProcess([...command, flag, String(value), ...rest])).stderr;
    for (const good of [least, most]) {
      assert.doesNotMatch(await said(good), new RegExp(flag), `${command[0]} ${flag} ${good}`);
    }
    for (const bad of [least - 1, most + 1]) {
      assert.match(await said(bad), new RegExp(flag), `${command[0]} ${flag} ${bad}`);
    }
  }
});
