/** Numbers on the command line: the largest that is taken, and the next one, which is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import type { Client } from "#sdk";
import { findRun } from "../src/cli/refs.ts";
import { inProcess, tempFolder } from "./cli.support.ts";

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
  // Seconds: the longest that a timer of Node takes.
  [["drain", "w"], "--timeout", [0.001, 2_147_483.647], NOBODY],
];

test("numbers are taken at their limits, and refused by name one beyond", async () => {
  for (const [command, flag, [least, most], rest] of NUMBERS) {
    const said = async (value: number): Promise<string> =>
      (await inProcess([...command, flag, String(value), ...rest])).stderr;
    for (const good of [least, most]) {
      assert.doesNotMatch(await said(good), new RegExp(flag), `${command[0]} ${flag} ${good}`);
    }
    const step = Number.isInteger(most) ? 1 : 0.001;
    for (const bad of [least - step, most + step]) {
      assert.match(await said(bad), new RegExp(flag), `${command[0]} ${flag} ${bad}`);
    }
  }
});

test("of several runs that fit ten are listed, and the one that is @latest", async () => {
  const found = (ids: readonly string[]) => {
    const runs = ids.map((id, submittedAt) => ({ id, submittedAt }));
    const client = { runs: async () => runs, services: async () => [] };
    return findRun(client as unknown as Client, "pages");
  };
  const ids = Array.from({ length: 12 }, (_, i) => `pages-${i + 10}`);
  const listed = (count: number): string => ids.slice(0, count).reverse().slice(0, 10).join(", ");
  const why = (more: string) => `Cannot choose a run: "pages" fits ${more}`;
  assert.equal(await found(ids.slice(0, 1)), "pages-10");
  await assert.rejects(found(ids.slice(0, 10)), { message: why(listed(10)) });
  await assert.rejects(found(ids.slice(0, 11)), { message: why(`${listed(11)} and 1 more`) });
  await assert.rejects(found(ids.slice(0, 2)), { advice: "@latest is pages-11" });
  // The newest run is another pipeline's.
  await assert.rejects(found([...ids.slice(0, 2), "other-1"]), { advice: undefined });
});

test("a password file has 4,096 bytes in its line", async () => {
  const line = "p".repeat(4096);
  const folder = tempFolder({ wall: "", good: `${line}\r\n`, bad: `${line}p\n` });
  const said = async (...args: string[]): Promise<string> => (await inProcess(args)).stderr;
  const store = (file: string): Promise<string> =>
    said("store", "--port", "0", "--state", join(folder, "wall"), "--password-file", file);
  assert.match(await store(join(folder, "good")), /Cannot start the store/);
  assert.match(await store(join(folder, "bad")), /its first line is too long/);
});
