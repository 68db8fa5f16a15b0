/** Completion: what `titan __complete` answers, and that bash understands it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { allCommands } from "../src/cli/program.ts";
import { eventually, inProcess, MAIN, tempFolder, titan, up } from "./cli.support.ts";

const PIPELINE =
  "name: seen\njobs:\n  - {id: one, run: 'true'}\n" +
  "  - {id: other, run: 'true', hitl_message: Ship it?}\n";

const cwd = tempFolder({ "my file.yaml": "", "p.yaml": PIPELINE });
const cluster = await up(["--no-store", "--workers", "2", "--token", "secret"], { cwd });
after(() => cluster.kill("SIGTERM"));
const env = { ...cluster.env, TITAN_TOKEN: "secret" };
const run = (await titan(["run", "p.yaml", "--detach"], { cwd, env })).stdout.trim();
await eventually("the gate is open", async () =>
  (await inProcess(["gates", "--json"], env)).stdout.includes("Ship"),
);
await eventually("both workers are there", async () =>
  (await inProcess(["workers", "--json"], env)).stdout.includes("w2"),
);

/** Candidates for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await inProcess(["__complete", "--", ...words], env);
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t")[0]!);
}

test("titan __complete offers commands, also behind flags and behind help", async () => {
  assert.deepEqual(await offered("u"), ["up"]);
  assert.deepEqual(await offered("--json", "val"), ["validate"]);
  assert.deepEqual(await offered("--master", "h:1", "val"), ["validate"]);
  const words = ["replay", "restart", "retry", "retire", "reject", "restore"];
  assert.deepEqual(await offered("help", "re"), words);
  const all = await offered("");
  assert.deepEqual(
    [all.length, all.includes("__complete")],
    [(await allCommands()).filter(({ hidden }) => !hidden).length, false],
  );
});

test("titan __complete offers flags where a dash was typed, each once", async () => {
  assert.deepEqual(await offered("logs", "--ti"), ["--timestamps"]);
  assert.deepEqual(await offered("logs", "--timestamps", "--ti"), []);
  assert.equal(
    (await offered("worker", "--")).includes("--parent-pipe"),
    false,
    "that is for our own processes",
  );
  assert.deepEqual(await offered("runs", ""), []);
  assert.deepEqual(await offered("kv", "get", "--", "--js"), []);
});

test("titan __complete offers the values of a flag", async () => {
  assert.deepEqual(await offered("up", "--durability", ""), ["always", "everysec", "no"]);
  assert.deepEqual(
    await offered("up", "--durability", "=", "e"),
    ["everysec"],
    "bash makes three words of it",
  );
  assert.deepEqual(await offered("runs", "--status=f"), ["--status=failed"]);
  assert.deepEqual(await offered("up", "--state", ""), [":folders"]);
  assert.deepEqual(await offered("run", "p.yaml", "--key", ""), []);
});

test("titan __complete leaves files and folders to the shell", async () => {
  assert.deepEqual(
    [await offered("run", ""), await offered("eventlog", ""), await offered("log", "show", "")],
    [[":files"], ["show", "inspect", "verify", "repair"], [":folders"]],
  );
  assert.deepEqual(await offered("run", "p.yaml", ""), [], "it takes one");
});

test("titan __complete offers what the master knows: runs, jobs, workers, gates", async () => {
  assert.deepEqual([await offered("watch", "se"), await offered("logs", "")], [[run], [run]]);
  assert.deepEqual(await offered("logs", `${run}/`), [`${run}/one`, `${run}/other`]);
  assert.deepEqual(await offered("retry", run, "--from", "ot"), ["other"]);
  assert.deepEqual((await offered("drain", "")).sort(), ["w1", "w2"]);
  assert.deepEqual(await offered("approve", ""), [`${run}/other`]);
});

test("titan __complete says nothing without a master, and to nonsense", async () => {
  for (const nowhere of [
    { TITAN_MASTER: "127.0.0.1:1" },
    { TITAN_MASTER: "not an address" },
    cluster.env,
  ]) {
    const { code, stdout, stderr } = await inProcess(["__complete", "--", "watch", ""], nowhere);
    assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  }
  assert.deepEqual(await offered("frobnicate", ""), []);
  assert.deepEqual(await offered("run", "--=x"), []);
  assert.deepEqual(await offered("-"), ["--master", "--token", "--json", "--help"]);
});

const bin = join(cwd, "bin");
mkdirSync(bin);
mkdirSync(join(cwd, "up"));
writeFileSync(join(bin, "titan"), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
chmodSync(join(bin, "titan"), 0o755);
const shellEnv = { ...env, PATH: `${bin}:${process.env["PATH"]}`, HOME: cwd, TERM: "dumb" };

test("titan completion bash: the script answers as titan __complete does", () => {
  const ask = (...words: string[]) => {
    const list = ["titan", ...words].map((word) => `'${word}'`).join(" ");
    const script =
      `source <(titan completion bash); COMP_WORDS=(${list}); COMP_CWORD=${words.length}; ` +
      `_titan; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["--norc", "-c", script], { cwd, env: shellEnv, encoding: "utf8" });
  };
  for (const [words, expected] of [
    [["u"], "up\n"],
    [["logs", "se"], `${run}\n`],
    [["logs", `${run}/on`], `${run}/one\n`],
    [["run", ""], "\n"],
  ] as const) {
    const { stdout, stderr } = ask(...words);
    assert.deepEqual([stdout, stderr], [expected, ""], words.join(" "));
  }
});

test("titan completion bash keeps a name with a blank whole, at a prompt", async () => {
  const shell = spawn("script", ["-qfc", "bash --norc -i", "/dev/null"], {
    cwd,
    env: { ...shellEnv, PS1: "$ " },
    stdio: ["pipe", "pipe", "ignore"],
  });
  after(() => shell.kill("SIGKILL"));
  let text = "";
  shell.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const shows = (what: string) => eventually(`the prompt shows ${what}`, () => text.includes(what));
  shell.stdin.write("source <(titan completion bash); echo rea''dy\n");
  await shows("ready\r\n");
  shell.stdin.write("titan run my\t");
  await shows("titan run my\\ file.yaml ");
  shell.stdin.write("\u0015titan u\t");
  await shows("titan up ");
  shell.stdin.write("\u0015exit\n");
  await new Promise((resolve) => shell.once("close", resolve));
});

test("titan completion refuses another shell, and says which there are", async () => {
  for (const shell of ["bash", "zsh", "fish"])
    assert.match((await inProcess(["completion", shell])).stdout, /__complete --/);
  const other = await inProcess(["completion", "fihs"]);
  assert.deepEqual(
    [other.code, other.stderr],
    [2, 'titan: Cannot write completion for "fihs" (did you mean fish?)\n'],
  );
});
