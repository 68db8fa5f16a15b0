/**
 * Artifacts as people and jobs see them: `titan artifact`, and files that go from job to job.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { start, inProcess, tempFolder, titan, type Ended, type Started } from "./cli.support.ts";

const folder = tempFolder({ "a.txt": "hello\n", "b.txt": "other\n" });
const file = (name: string): string => join(folder, name);
let master: Started;
let at: string[] = [];

before(async () => {
  const args = ["up", "--no-store", "--workers", "1", "--port", "0", "--state", "state", "--json"];
  master = start(args, { cwd: folder });
  const [line] = await master.until("stdout", /\{.*"type":"ready".*\}/);
  at = ["--master", (JSON.parse(line) as { master: string }).master];
});
after(() => master.kill("SIGTERM"));

const say = (...args: string[]): Promise<Ended> => inProcess(["artifact", ...args, ...at]);

test("put, get, list, rm and gc, in words and as JSON", async () => {
  const put = await say("put", "a.txt", file("a.txt"), "--keep");
  assert.match(put.stdout, /^5891b5b522d5.{52}  a\.txt\n$/);
  assert.match(put.stderr, /^titan: put a\.txt \(6 B\), kept by its name\n$/);
  const again = await say("put", "a.txt", file("b.txt"), "--keep");
  assert.match(again.stderr, /, in place of the one of .* \(6 B, 5891b5b522d5…\)\n$/);
  assert.equal((await say("get", "a.txt", "-")).stdout, "other\n");
  await say("get", "a.txt", file("c.txt"));
  assert.equal(readFileSync(file("c.txt"), "utf8"), "other\n");
  const [row] = JSON.parse((await say("list", "--keep", "--json")).stdout) as object[];
  assert.deepEqual(Object.keys(row!), ["name", "run", "size", "sha256", "at", "by", "from"]);
  assert.match((await say("list")).stdout, /^NAME +RUN +SIZE .*\na\.txt +\(kept\) +6 B +/);
  const nothing = JSON.parse((await say("gc", "--json")).stdout) as { removed: object[] };
  assert.deepEqual(nothing.removed, []);
  const dry = await say("gc", "--keep", "--dry-run");
  assert.match(dry.stderr, /^titan: would remove 1 artifact, 6 B; artifacts hold 6 B of 34 GB\n$/);
  assert.match((await say("rm", "a.txt")).stderr, /^titan: removed a\.txt \(6 B\), kept by/);
  assert.equal((await say("list")).stderr, "titan: there are no artifacts\n");
});

test("stdin, of 0 bytes too", async () => {
  const put = (input: string): Promise<Ended> =>
    titan(["artifact", "put", "in", "-", "--keep", ...at], { cwd: folder, input });
  assert.equal((await put("from a pipe")).code, 0);
  assert.equal((await say("get", "in", "-")).stdout, "from a pipe");
  assert.match((await put("")).stderr, /^titan: put in \(0 B\)/);
  assert.equal((await say("get", "in", "-")).stdout, "");
  await say("rm", "in");
});

test("what cannot be is said in words, with exit codes", async () => {
  const cases: [string[], number, RegExp][] = [
    [["putt", "a"], 2, /Cannot run titan artifact putt \(did you mean put\?\)/],
    [["x"], 2, /Cannot run titan artifact x: there are put, get, list, rm and gc/],
    [["put", "a"], 2, /put: it takes NAME FILE\|-, found "a"/],
    [["list", "a"], 2, /list: it takes no arguments, found "a"/],
    [["get", "a", "--older", "1d"], 2, /get --older: it has no such flag/],
    [
      ["put", "a", file("a.txt")],
      2,
      /it has no run\n {2}--run RUN puts it into a run, --keep keeps/,
    ],
    [["put", "a", file("a.txt"), "--keep", "--run", "r"], 2, /--run and --keep/],
    [["put", "a", file("none"), "--keep"], 1, /Cannot put .*none: there is no such file/],
    [["put", "a", folder, "--keep"], 1, /it is no file; tar c FOLDER/],
    [["put", "../a", file("a.txt"), "--keep"], 2, /"\.\.\/a": it has a "\/"/],
    [["put", "n".repeat(300), file("a.txt"), "--keep"], 2, /longer than 255 bytes/],
    [["put", "a", file("a.txt"), "--run", "nobody"], 1, /Cannot find run "nobody"/],
    [["get", "nothing"], 1, /Cannot find artifact "nothing": none is kept by this name/],
    [["rm", "nothing"], 1, /Cannot find artifact "nothing"/],
  ];
  for (const [args, code, why] of cases) {
    const { code: found, stderr } = await say(...args);
    assert.match(stderr, why);
    assert.equal(found, code, args.join(" "));
  }
  await say("put", "package.json", file("a.txt"), "--keep");
  const over = await say("get", "package.json");
  assert.match(over.stderr, /Cannot get artifact package\.json: package\.json exists/);
  const inside = await say("get", "package.json", folder);
  assert.match(inside.stderr, / is a folder\n {2}titan artifact get \S+ .*\/package\.json'?$/m);
  const nowhere = await say("get", "package.json", file("none/x"));
  assert.match(nowhere.stderr, /^titan: Cannot write .*none\/x: there is no such file/m);
  await say("rm", "package.json");
  assert.ok(existsSync(file("a.txt")));
});
