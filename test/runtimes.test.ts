/** What differs between Node, Deno and Bun. What is not installed is tested by arguments. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { linkPackage } from "#exec";
import { nodeHost } from "#host";
import type { Action } from "#wire";
import { commandOf } from "../src/exec/process-job.ts";
import { readEntry } from "../src/host/remove-tree.ts";
import { start, tempFolder } from "./cli.support.ts";
import { PATH } from "./processes.support.ts";

const NODE = { execPath: "/bin/node", version: "v20.15.1", versions: { node: "20.15.1" } };
const [version, node] = ["v26.3.0", "26.3.0"];
const BUN = { execPath: "/bin/bun", version, versions: { node, bun: "1.4.5" } };
const DENO = { execPath: "/bin/deno", version, versions: { node, deno: "2.9.6" } };

test("commandOf() gives a job all permissions on Deno, and no arguments of ours elsewhere", () => {
  for (const file of ["a.js", "a.mjs", "a.cjs", "sub/a.mjs"]) {
    const action: Action = { type: "file", file, args: ["--x"] };
    assert.deepEqual(commandOf(action, NODE), ["/bin/node", `./${file}`, "--x"]);
    assert.deepEqual(commandOf(action, BUN), ["/bin/bun", `./${file}`, "--x"]);
    assert.deepEqual(commandOf(action, DENO), ["/bin/deno", "run", "-A", `./${file}`, "--x"]);
  }
  const script = { type: "shell", shell: "node", script: "1" } as const;
  assert.deepEqual(commandOf(script, DENO), ["/bin/deno", "run", "-A", "./.titan-script.mjs"]);
});

test("commandOf() passes a script that looks like an option as a script", () => {
  for (const script of ["-x\n", "--version", "+e\nls", "-c ls"]) {
    for (const shell of ["sh", "bash"] as const) {
      const action = { type: "shell", script, ...(shell === "bash" && { shell }) } as const;
      const [program = "", ...args] = commandOf(action, NODE) as readonly string[];
      const { stderr, status } = spawnSync(program, args, { encoding: "utf8", env: { PATH } });
      assert.equal(status, 127, stderr);
      assert.match(stderr, /not found/);
    }
  }
});

test("commandOf() runs TypeScript where the runtime does, and says so where it does not", () => {
  const action: Action = { type: "file", file: "a.ts", args: [] };
  assert.deepEqual(commandOf(action, NODE), {
    unsupported:
      "Cannot run a.ts: this worker's Node v20.15 cannot run TypeScript (22.18 or newer can)",
  });
  assert.deepEqual(commandOf(action, { ...NODE, version: "v22.18.0" }), ["/bin/node", "./a.ts"]);
  assert.deepEqual(commandOf(action, BUN), ["/bin/bun", "./a.ts"]);
  assert.deepEqual(commandOf(action, DENO), ["/bin/deno", "run", "-A", "./a.ts"]);
});

test("linkPackage() leaves the package.json that Deno looks for, on Deno only", async () => {
  const [plain, deno] = [tempFolder(), tempFolder()];
  await linkPackage(nodeHost(), { cacheDir: plain, runtime: NODE });
  assert.equal(existsSync(join(plain, "package.json")), false);
  await linkPackage(nodeHost(), { cacheDir: deno, runtime: DENO });
  assert.equal(readFileSync(join(deno, "package.json"), "utf8"), "{}\n");
  const own = tempFolder({ "package.json": '{ "type": "module" }' });
  await linkPackage(nodeHost(), { cacheDir: own, runtime: DENO });
  assert.equal(readFileSync(join(own, "package.json"), "utf8"), '{ "type": "module" }');
});

test("readEntry() understands the entries of each runtime's list of names in bytes", () => {
  const [bytes, isDirectory] = [Buffer.from("ä\xff", "latin1"), () => true];
  assert.deepEqual(readEntry({ name: bytes, isDirectory }), { name: bytes, isFolder: true });
  assert.deepEqual(readEntry({ name: "ä", isDirectory: () => false }), {
    name: Buffer.from("ä"), isFolder: false,
  });
  assert.deepEqual(readEntry(bytes), { name: bytes, isFolder: false });
});

const PIPELINE = `
name: runtimes
project: true
jobs:
  - { id: js, file: job.mjs }
  - { id: ts, file: job.ts }
  - { id: call, call: 'call.mjs#double', input: 21 }
`;
const JOB = `import { connect } from "titan-orchestrator";
import { connectStore } from "titan/store";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
readFileSync("data.txt");
mkdirSync(process.env.TITAN_SHARED + "/made/deeper", { recursive: true });
writeFileSync(process.env.TITAN_SHARED + "/made/deeper/file", "");
const store = await connectStore();
await store.call("SET", "seen", "1");
store.close();
console.log(typeof connect);
`;

for (const runtime of [["deno", "run", "-A"], ["bun"]]) {
  const [program = "", ...args] = runtime;
  if (spawnSync(program, ["--version"], { stdio: "ignore" }).status !== 0) continue;
  test(`${program} runs a cluster whose jobs read files and import the package`, async () => {
    const cwd = tempFolder({
      "p.yaml": PIPELINE,
      "job.mjs": JOB,
      "job.ts": "const n: number = 1;\nconsole.log(n);\n",
      "call.mjs": "export const double = (n) => 2 * n;\n",
      "data.txt": "x",
    });
    const temporary = tempFolder();
    const env = { TMPDIR: temporary };
    const run = start(["run", "p.yaml", "--embedded"], { cwd, env, runtime: [program, ...args] });
    const { code, stderr, stdout } = await run.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /COMPLETED .*3\/3 done/);
    assert.doesNotMatch(stderr, /Cannot remove/);
    const left = readdirSync(temporary, { recursive: true }).map(String);
    assert.deepEqual(left.filter((path) => /data\.txt|made/.test(path)), [], "a job's files");
  });
}
