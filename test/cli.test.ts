/** The command line against one real cluster: what it prints, where, and how it ends. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  existsSync,
  openSync,
  writeSync,
  closeSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { RpcError } from "#rpc";
import type { CliError } from "../src/cli/exit.ts";
import { submitOnce } from "../src/cli/submit.ts";
import {
  eventually,
  inProcess,
  isAlive,
  lines,
  start,
  tempFolder,
  titan as runTitan,
  up,
  type Ended,
  type Up,
} from "./cli.support.ts";

const PIPELINES = {
  "ok.yaml":
    "name: ok\njobs:\n  - {id: a, run: 'echo out; echo err >&2'}\n  - {id: b, run: 'true', " +
    "needs: a}\n",
  "fail.yaml":
    "name: fails\njobs:\n  - {id: bad, run: 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line " +
    "$i; done; exit 7'}\n  - {id: next, run: 'true', needs: bad}\n",
  "slow.yaml":
    "name: slow\njobs:\n  - {id: s, run: 'echo begun; sleep 60'}\n  - {id: t, run: 'true', " +
    "needs: s}\n",
  "gate.yaml":
    "name: gated\njobs:\n  - {id: ask, run: 'printf 42 > \"$TITAN_OUTPUT\"', hitl_message: 'Ship " +
    "it?'}\n  - {id: ship, run: 'true', needs: ask}\n",
  "gpu.yaml": "name: gpu\njobs:\n  - {id: g, run: 'true', requirement: GPU}\n",
  "wrong.yaml":
    "name: wrong\njobs:\n  - id: a\n    run: 'true'\n    depend_on: [b]\n  - id: b\n    run: " +
    "'true'\n",
};

const cwd = tempFolder(PIPELINES);
process.chdir(cwd); // for what runs in this process
const TOKEN = "open-sesame";
let cluster: Up;
let env: Record<string, string>;

/** The built program, in a process of its own. */
const titan = (...args: string[]): Promise<Ended> => runTitan(args, { cwd, env });
/** The same in this process, which costs a tenth. */
const quick = (...args: string[]): Promise<Ended> => inProcess(args, env);
const alone = (...args: string[]): Promise<Ended> => inProcess(args);

async function submit(file: string, ...flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await quick("run", file, "--detach", ...flags);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[a-z]+-[0-9a-z]+\n$/, "stdout holds the id and nothing else");
  return stdout.trim();
}

async function statusOf(
  ref: string,
): Promise<{
  run: Record<string, unknown>;
  jobs: Record<string, unknown>[];
  job: Record<string, unknown>;
}> {
  return JSON.parse((await quick("status", ref, "--json")).stdout);
}

/** Starts a job that sleeps, and returns once it runs. */
async function submitSlow(): Promise<string> {
  const run = await submit("slow.yaml");
  const follow = start(["logs", `${run}/s`, "-f"], { cwd, env });
  await follow.until("stdout", /begun/);
  await follow.kill("SIGKILL");
  return run;
}

before(async () => {
  cluster = await up(["--workers", "2", "--slots", "8"], { cwd, env: { TITAN_TOKEN: TOKEN } });
  env = cluster.env;
  await eventually("both workers have registered", async () =>
    (JSON.parse((await quick("workers", "--json")).stdout) as object[]).length === 2);
});

after(async () => {
  const { code } = await cluster.kill("SIGTERM");
  assert.equal(code, 0, cluster.stderr);
  for (const pid of cluster.ready.workerPids) {
    assert.equal(isAlive(pid), false, `worker ${pid} is still there`);
  }
});

describe("titan", { concurrency: 4 }, () => {
  test("an unknown command or flag exits 2 and says what was meant", async () => {
    for (const [args, meant] of [
      [["sttus"], /no such command \(did you mean status\?\)/],
      [["frobnicate"], /no such command\n {2}titan help/],
      [["ps"], /no such command \(did you mean runs\?\)/],
      [["constructor"], /no such command\n {2}titan help/],
      [[""], /Cannot run titan '': there is no such command/],
      [["artifact", ""], /Cannot run titan artifact '': there are put, get/],
      [["log", "ok-1/a"], /found only "ok-1\/a"\n {2}titan logs ok-1\/a prints the output of jobs/],
      [["log"], /found nothing\n {2}titan help eventlog says more/],
      [["log", "show"], /found only "show"\n {2}titan help eventlog says more/],
      [["runs", "--jsn"], /unknown flag --jsn \(did you mean --json\?\)/],
      [["run", "ok.yaml", "--detatch"], /did you mean --detach\?/],
      [["worker", "--parent-pip"], /unknown flag --parent-pip\n/],
      [["run"], /it takes FILE\|-, found nothing/],
      [["status", "a", "b"], /found "b" as well/],
      [["up", "--workers", "--slots", "2"], /--workers needs a value/],
      [["up", "--workers", "many"], /must be a whole number/],
      [["runs", "--json=yes"], /takes no value/],
      [["run", "ok.yaml", "--timeout", "soon"], /such as 90s/],
      [["worker", "--tags", "G PU"], /is not a tag/],
      [["runs", "--master", "host:port"], /expected HOST:PORT/],
      [["runs", "--master", "host:70000"], /not between 1 and 65535/],
      [["logs", "run/"], /expected RUN or RUN\/JOB/],
      [["drain"], /it takes WORKER, found nothing/],
      [["dead", "x"], /takes no arguments/],
      [["up", "--grace", "11m"], /--grace 11m: must be at most 10m/],
      [["up", "--http", "99999"], /--http/],
      [["up", "--port", "0", "--http-host", "h"], /--http-host without --http PORT/],
      [["--jso"], /expected a command/],
    ] as const) {
      const { code, stdout, stderr } = await alone(...args);
      assert.equal(code, 2, `titan ${args.join(" ")}: ${stderr}`);
      assert.equal(stdout, "");
      assert.match(stderr, /^titan: Cannot /);
      assert.match(stderr, meant);
    }
  });

  test("an empty value is refused: a variable not set names no master, key or run", async () => {
    for (const args of [
      ["run", "ok.yaml", "--master", ""],
      ["run", "ok.yaml", "--key="],
      ["status", ""],
      ["watch", ""],
      ["cancel", ""],
      ["retry", ""],
      ["logs", ""],
      ["approve", ""],
    ]) {
      const { code, stderr } = await quick(...args);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, /a variable that is not set\?/);
    }
  });

  test("--timeout beyond what a timer can sleep is refused, because it would be " +
    "over at once", async () => {
    for (const time of ["25d", "99999999999999d"]) {
      const { code, stderr } = await quick("run", "ok.yaml", "--timeout", time);
      assert.deepEqual(
        [code, stderr],
        [2, `titan: Cannot use --timeout ${time}: must be shorter than 24d20h\n`],
      );
    }
    assert.equal((await quick("run", "ok.yaml", "--timeout", "24d")).code, 0);
  });

  test("a pipeline without an end is refused, from a file and from stdin", async () => {
    const { code, stderr } = await alone("validate", "/dev/zero");
    assert.deepEqual(
      [code, stderr],
      [2, "titan: Cannot read pipeline /dev/zero: it is longer than 25165824 bytes\n"],
    );
    const endless = await runTitan(["validate", "-"], { cwd, input: " ".repeat(25165825) });
    assert.deepEqual(
      [endless.code, endless.stderr],
      [2, "titan: Cannot read pipeline from stdin: it is longer than 25165824 bytes\n"],
    );
  });

  test("help, --help, --version and completion need no master", async () => {
    assert.match((await alone("help")).stdout, /usage: titan COMMAND/);
    const run = (await alone("run", "--help")).stdout;
    assert.match(run, /--detach/);
    assert.equal(run, (await alone("help", "run")).stdout);
    assert.doesNotMatch(
      (await alone("help", "worker")).stdout,
      /parent-pipe/,
      "what is for our own processes is not shown",
    );
    const { version } = JSON.parse(
      readFileSync(new URL("../package.json", import.meta.url), "utf8"),
    ) as { version: string };
    assert.equal((await alone("--version")).stdout, `titan ${version}\n`);
    const none = await alone();
    assert.deepEqual([none.code, none.stdout], [2, ""]);
    const [built, mistyped] = await Promise.all([
      runTitan(["--version"], { cwd }),
      runTitan(["sttus"], { cwd }),
    ]);
    assert.deepEqual([built.code, built.stdout, built.stderr], [0, `titan ${version}\n`, ""]);
    assert.deepEqual([mistyped.code, mistyped.stdout], [2, ""]);
    for (const shell of ["bash", "zsh", "fish"]) {
      assert.match((await alone("completion", shell)).stdout, /__complete/);
    }
    const input = (await alone("completion", "bash")).stdout;
    assert.equal(spawnSync("bash", ["-n"], { input }).status, 0);
  });

  test("validate prints a caret and exits 2, or the shape of the graph", async () => {
    const wrong = await alone("validate", "wrong.yaml");
    assert.equal(wrong.code, 2);
    assert.match(
      wrong.stderr,
      new RegExp(
        [
          String.raw`^wrong\.yaml:5:5: unknown key "depend_on" in job "a" ` +
            String.raw`\(did you mean "depends_on"\?\)`,
          String.raw` {2}5 \| {5}depend_on: \[b\]`,
          String.raw` {4}\| {5}\^+`,
        ].join("\n"),
      ),
    );
    const valid = JSON.parse((await alone("validate", "ok.yaml", "--json")).stdout);
    assert.deepEqual(valid, {
      file: "ok.yaml",
      valid: true,
      name: "ok",
      jobs: 2,
      levels: 2,
      widest: 1,
      criticalPath: ["a", "b"],
      warnings: [],
    });
    assert.match((await alone("validate", "ok.yaml")).stdout, /critical path +2 jobs: a -> b/);
    assert.equal((await runTitan(["validate", "-"], { cwd, input: PIPELINES["ok.yaml"] })).code, 0);
    assert.equal(
      JSON.parse((await alone("validate", "wrong.yaml", "--json")).stdout).problems[0].line,
      5,
    );
    const missing = await alone("validate", "nothing.yaml");
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /Cannot read pipeline nothing\.yaml: there is no such file/);
    writeFileSync(join(cwd, "latin1.yaml"), Buffer.from("name: caf\xe9\n", "latin1"));
    const foreign = await alone("validate", "latin1.yaml");
    assert.equal(foreign.code, 2);
    assert.match(foreign.stderr, /Cannot read pipeline latin1\.yaml: it is not UTF-8 text/);
  });

  test("a master that was named and does not answer is exit 5, and no other " +
    "cluster is used", async () => {
    for (const how of [
      { args: ["--master", "127.0.0.1:1"], env: {} },
      { args: [], env: { TITAN_MASTER: "127.0.0.1:1" } },
    ]) {
      const { code, stdout, stderr } = await inProcess(["run", "ok.yaml", ...how.args], how.env);
      assert.deepEqual([code, stdout], [5, ""]);
      assert.match(
        stderr,
        /^titan: Cannot reach the master at 127\.0\.0\.1:1: nobody listens there/,
      );
      assert.doesNotMatch(stderr, /starting a cluster/);
    }
  });

  test("something that answers and is no master is exit 5, too", async () => {
    // It reads what comes: with something unread in it a socket does not see that its peer has
    // gone.
    const server = createServer((socket) =>
      socket.on("error", () => undefined).resume().end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const master = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const command of [["runs"], ["worker", "--home", join(cwd, "foreign")]]) {
      const { code, stderr } = await alone(...command, "--master", master);
      assert.equal(code, 5, stderr);
      assert.match(stderr, /^titan: Cannot reach the master at .*: .* it is not a Titan master/m);
    }
    server.close();
  });

  test("no token or a wrong one is exit 4", async () => {
    for (const token of [{}, { TITAN_TOKEN: "wrong" }]) {
      const { code, stdout, stderr } = await inProcess(["runs"], {
        TITAN_MASTER: cluster.ready.master,
        ...token,
      } as Record<string, string>);
      assert.deepEqual([code, stdout], [4, ""]);
      assert.match(stderr, /token/);
    }
    assert.equal((await alone("runs", "--token", TOKEN, "--master", cluster.ready.master)).code, 0);
  });

  test("run exits 0 with data on stdout and progress on stderr", async () => {
    const { code, stdout, stderr } = await titan("run", "ok.yaml");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ok-[0-9a-z]+ COMPLETED in [\d.]+s \(2\/2 done\)\n$/);
    // A fast job may be over before the watch has begun; then its end is the first thing there is
    // to say.
    assert.match(stderr, /a (running +on|completed .*) w\d/);
    assert.match(stderr, /b completed/);
    assert.doesNotMatch(
      stdout + stderr,
      new RegExp(String.fromCharCode(27)),
      "no colours outside a terminal",
    );
  });

  test("run --json begins and ends with the run, and has a line per change between", async () => {
    const { code, stdout } = await runTitan(["run", "-", "--json"], {
      cwd,
      env,
      input: PIPELINES["ok.yaml"],
    });
    assert.equal(code, 0);
    const all = lines(stdout);
    const { id } = all[0]!;
    assert.deepEqual(all[0], { type: "run", id, name: "ok", status: "RUNNING" });
    assert.deepEqual(all.at(-1), { type: "run", id, name: "ok", status: "COMPLETED" });
    const jobs = all.slice(1, -1);
    assert.ok(jobs.every(({ type, run }) => type === "job" && run === id));
    for (const name of ["a", "b"]) {
      assert.equal(jobs.filter(({ job }) => job === name).at(-1)!["status"], "COMPLETED");
    }
    const last = jobs.at(-1)!;
    assert.deepEqual(
      Object.keys(last),
      ["type", "run", "job", "status", "attempt", "worker", "at", "final"],
    );
    assert.equal(last["attempt"], 1);
    assert.match(String(last["worker"]), /^w\d$/);
    assert.ok(Math.abs(Number(last["at"]) - Date.now()) < 60_000);
  });

  test("a failed run exits 3 with the job's last words and the command that shows " +
    "all of them", async () => {
    const { code, stdout, stderr } = await titan("run", "fail.yaml");
    assert.equal(code, 3);
    const [id] = /^fails-[0-9a-z]+/.exec(stdout)!;
    assert.match(stdout, /FAILED in .*1 failed, 1 skipped/);
    assert.match(stderr, /bad failed: .*7/);
    assert.match(stderr, /… 2 lines before\n {2}\| line 3\n/);
    assert.match(stderr, /\| line 12\n/);
    assert.match(stderr, new RegExp(`titan logs ${id}/bad`));
    const all = lines((await titan("run", "fail.yaml", "--json")).stdout);
    assert.equal(all.at(-1)!["status"], "FAILED");
    const failed = all.find(({ job, status }) => job === "bad" && status === "FAILED")!;
    assert.deepEqual(
      { ...(failed["failure"] as object), message: "" },
      { kind: "exit", message: "", exitCode: 7 },
    );
  });

  test("watch says why a job waits, in lines and beside JSON, and run says which " +
    "master it uses", async () => {
    const watch = start(["run", "gpu.yaml"], { cwd, env });
    await watch.until("stderr", /^\[.*\] g pending {2}no worker has GPU$/m);
    const { stderr } = await watch.kill("SIGINT");
    assert.match(stderr, /^titan: uses the master at 127\.0\.0\.1:\d+ \(state in \/.*\)$/m);
    const [, run] = /titan watch (gpu-\w+)/.exec(stderr)!;
    const json = start(["watch", run!, "--json"], { cwd, env });
    await json.until("stderr", /^titan: waiting: g: no worker has GPU$/m);
    await json.kill("SIGINT");
    await quick("cancel", run!);
  });

  test("one key, one run", async () => {
    const first = await submit("ok.yaml", "--key", "nightly-1");
    assert.equal(await submit("ok.yaml", "--key", "nightly-1"), first);
    assert.notEqual(await submit("ok.yaml", "--key", "nightly-2"), first);
    assert.equal((await titan("watch", first)).code, 0);
    const again = lines(
      (await quick("run", "ok.yaml", "--key", "nightly-1", "--detach", "--json")).stdout,
    );
    assert.deepEqual(again, [{ type: "run", id: first, name: "ok", status: "COMPLETED" }]);
    assert.equal(
      (await titan("run", "ok.yaml", "--key", "nightly-1")).code,
      0,
      "and watching it shows its end",
    );
  });

  test("an impossible requirement is a warning, and with --strict exit 6", async () => {
    const strict = await quick("run", "gpu.yaml", "--strict");
    assert.deepEqual([strict.code, strict.stdout], [6, ""]);
    assert.match(strict.stderr, /Cannot schedule job "g" now: no worker has GPU/);
    const loose = await quick("run", "gpu.yaml", "--detach");
    assert.match(loose.stderr, /warning: Cannot schedule job "g" now/);
    const run = loose.stdout.trim();
    assert.match(String((await statusOf(run)).jobs[0]!["reason"]), /no worker has GPU/);
    assert.match((await quick("status", run)).stdout, /PENDING .*no worker has GPU/);
    assert.equal((await quick("cancel", run, "--wait")).stdout, `${run} CANCELLED\n`);
  });

  test("status shows what waits and why, attempts, workers and failures", async () => {
    const run = await submitSlow();
    const { run: info, jobs } = await statusOf(run);
    assert.deepEqual(
      [info["id"], info["status"], (info["jobs"] as Record<string, number>)["RUNNING"]],
      [run, "RUNNING", 1],
    );
    assert.deepEqual(
      jobs.map(({ id, status, attempt, dependsOn }) => [id, status, attempt, dependsOn]),
      [
        ["s", "RUNNING", 1, []],
        ["t", "PENDING", 0, ["s"]],
      ],
    );
    assert.equal(jobs[1]!["reason"], "waits for s (RUNNING)");
    assert.match((await quick("status", `${run}/t`)).stdout, /^why +waits for s/m);
    const found = await quick("status", run.slice(0, -1));
    assert.match(found.stdout, new RegExp(`^${run} `), "the beginning of an id is enough");
    const nothing = await quick("status", `${run}x`);
    assert.deepEqual([nothing.code, nothing.stdout], [1, ""]);
    assert.match(
      nothing.stderr,
      new RegExp(`Cannot find run "${run}x" \\(did you mean ${run}\\?\\)`),
    );
    const noJob = await quick("status", `${run}/nope`);
    assert.equal(noJob.code, 1);
    assert.match(noJob.stderr, /Cannot find job "nope"/);
    await quick("cancel", run);
  });

  test("a beginning that fits several runs is refused, and they are listed", async () => {
    const [one, two] = [await submit("ok.yaml"), await submit("ok.yaml")];
    const { code, stderr } = await quick("status", "ok");
    assert.equal(code, 1);
    assert.match(stderr, /Cannot choose a run: "ok" fits ok-/);
    const all = JSON.parse((await quick("runs", "--json")).stdout) as { id: string }[];
    for (const run of [one, two]) assert.ok(all.some(({ id }) => id === run));
  });

  test("logs are the job's bytes, each stream on its own", async () => {
    const file =
      "name: raw\njobs:\n  - {id: j, run: 'printf \"a\\\\000\\\\377b\"; printf warned >&2'}\n";
    const { stdout } = await runTitan(["run", "-", "--json"], { cwd, env, input: file });
    const run = String(lines(stdout)[0]!["id"]);
    const child = start(["logs", `${run}/j`], { cwd, env });
    const bytes: Buffer[] = [];
    child.child.stdout!.setEncoding("latin1");
    child.child.stdout!.on("data", (text: string) => bytes.push(Buffer.from(text, "latin1")));
    const { code, stderr } = await child.ended;
    assert.deepEqual(
      [code, Buffer.concat(bytes).toString("hex"), stderr],
      [0, "6100ff62", "warned"],
    );
    const json = lines((await quick("logs", `${run}/j`, "--json")).stdout);
    assert.equal(json.find(({ stream }) => stream === "stderr")!["data"], "warned");
    assert.equal(
      Buffer.from(
        String(json.find(({ stream }) => stream === "stdout")!["base64"]),
        "base64",
      ).toString("hex"),
      "6100ff62",
    );
    assert.equal((await quick("logs", `${run}/j`, "--attempt", "2")).code, 1);
  });

  test("a reader that goes away ends the command quietly", async () => {
    const file =
      "name: much\njobs:\n  - {id: j, run: 'i=0; while [ $i -lt 40000 ]; do echo 0123456789; " +
      "i=$((i+1)); done'}\n";
    const { stdout } = await runTitan(["run", "-"], { cwd, env, input: file });
    const [run] = /^much-[0-9a-z]+/.exec(stdout)!;
    const logs = start(["logs", `${run}/j`], { cwd, env });
    await logs.until("stdout", /0123456789/);
    logs.child.stdout!.destroy();
    const { code, stderr } = await logs.ended;
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal((await titan("logs", `${run}/j`)).stdout.length, 40_000 * 11);
  });

  test("Ctrl-C detaches with 130 and the run goes on", async () => {
    const watch = start(["run", "slow.yaml"], { cwd, env });
    await watch.until("stderr", /s running/);
    const { code, stdout, stderr } = await watch.kill("SIGINT");
    assert.deepEqual([code, stdout], [130, ""]);
    const [, run] = /titan watch (slow-\w+)/.exec(stderr)!;
    assert.equal((await statusOf(run!)).run["status"], "RUNNING");
    assert.equal((await quick("cancel", run!, "--wait")).code, 0);
  });

  test("--timeout detaches with 124 and the run goes on", async () => {
    const { code, stderr } = await titan("run", "slow.yaml", "--timeout", "300ms");
    assert.equal(code, 124);
    const [, run] = /titan watch (slow-\w+)/.exec(stderr)!;
    assert.equal((await titan("watch", run!, "--timeout", "0.1")).code, 124);
    const watch = titan("watch", run!, "--json");
    await quick("cancel", run!);
    const { code: ended, stdout } = await watch;
    assert.equal(ended, 3);
    assert.equal(lines(stdout).at(-1)!["status"], "CANCELLED");
  });

  test("cancel of a job skips what depends on it; --wait returns when it is over", async () => {
    const run = await submitSlow();
    const { code, stdout } = await quick("cancel", `${run}/s`, "--wait", "--json");
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), {
      run,
      job: "s",
      jobs: 1,
      status: "CANCELLED",
      cancelling: false,
    });
    assert.deepEqual(
      (await statusOf(run)).jobs.map(({ status }) => status),
      ["CANCELLED", "SKIPPED"],
    );
    assert.match((await quick("cancel", run)).stdout, /had ended already: /);
  });

  test("cancel of a job that waits for its parents ends it at once, and says so the second time, " +
    "too", async () => {
    const run = await submitSlow();
    const { code, stdout } = await quick("cancel", `${run}/t`, "--wait");
    assert.deepEqual([code, stdout], [0, `${run}/t CANCELLED\n`]);
    assert.deepEqual(
      (await statusOf(run)).jobs.map(({ status }) => status),
      ["RUNNING", "CANCELLED"],
    );
    assert.equal(
      (await quick("cancel", `${run}/t`)).stdout,
      `${run}/t had ended already: CANCELLED\n`,
    );
    await quick("cancel", run);
  });

  test("retry runs again what failed, or from a job on", async () => {
    const { stdout } = await titan("run", "fail.yaml", "--json");
    const run = String(lines(stdout)[0]!["id"]);
    assert.deepEqual(JSON.parse((await quick("retry", run, "--json")).stdout), { run, jobs: 2 });
    assert.equal((await titan("watch", run)).code, 3);
    assert.equal((await statusOf(`${run}/bad`)).job["attempt"], 2);
    assert.equal((await quick("logs", `${run}/bad`, "--attempt", "1")).code, 0);
    const good = String(lines((await titan("run", "ok.yaml", "--json")).stdout)[0]!["id"]);
    const refused = await quick("retry", good);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /nothing in it has failed/);
    const under = await quick("retry", run, "--from", "next");
    assert.equal(under.code, 1);
    assert.match(
      under.stderr,
      /it would be skipped, because its parent "bad" is FAILED \(--from bad runs both\)/,
    );
    assert.match((await quick("status", run)).stdout, /^next +SKIPPED .* a parent failed: bad$/m);
    assert.equal((await quick("retry", good, "--from", "b")).code, 0);
  });

  test("a gate is decided once, by name or by its run", async () => {
    const run = await submit("gate.yaml");
    const watch = start(["watch", run], { cwd, env });
    await watch.until("stderr", /ask waiting/);
    const open = JSON.parse((await quick("gates", "--json")).stdout) as {
      id: string;
      message: string;
    }[];
    assert.equal(open.find(({ id }) => id === `${run}/ask`)!.message, "Ship it?");
    const yes = await inProcess(["approve", run, "--comment", "fine", "--json"], {
      ...env,
      USER: "ada",
    });
    const decision = JSON.parse(yes.stdout) as Record<string, unknown>;
    assert.deepEqual(
      [yes.code, decision["gate"], decision["approved"], decision["comment"], decision["already"]],
      [0, `${run}/ask`, true, "fine", false],
    );
    assert.match(String(decision["by"]), /^ada@./);
    const no = await quick("reject", `${run}/ask`);
    assert.equal(no.code, 1, "the first answer stands");
    assert.match(no.stdout, /had been approved by ada@/);
    assert.equal((await watch.ended).code, 0);
    const { job } = await statusOf(`${run}/ask`);
    assert.equal(job["result"], 42);
    assert.deepEqual(job["decision"], {
      approved: true, by: decision["by"], comment: "fine", at: decision["at"], fields: {},
    });
    assert.equal(
      Number(job["tookMs"]) + Number(job["waitedMs"]),
      Number(job["endedAt"]) - Number(job["startedAt"]),
    );
    assert.equal(
      Number(job["startedAt"]) + Number(job["tookMs"]) + Number(job["waitedMs"]),
      decision["at"],
    );
    assert.match(
      (await quick("status", `${run}/ask`)).stdout,
      /^decision +approved by ada@.*: fine \(/m,
    );
    assert.match(
      (await quick("status", run)).stdout,
      /^ask +COMPLETED .* approved by ada@.*: fine$/m,
    );
    assert.deepEqual((await statusOf(`${run}/ship`)).job["dependsOn"], ["ask"]);
    assert.match(
      (await watch.ended).stderr,
      new RegExp(`ask waiting +Ship it\\? +titan approve ${run}/ask`),
    );
    assert.match((await quick("approve", run)).stderr, /none of its gates is open/);
  });

  test("a rejected run exits 3", async () => {
    const run = await submit("gate.yaml");
    const watch = start(["watch", run], { cwd, env });
    await watch.until("stderr", /ask waiting/);
    assert.equal((await quick("reject", run)).code, 0);
    assert.equal((await watch.ended).code, 3);
  });

  test("workers and doctor tell what is there", async () => {
    const { stdout } = await quick("workers", "--json");
    const found = JSON.parse(stdout) as Record<string, unknown>[];
    assert.deepEqual(
      found.map(({ name, slots, connected }) => [name, slots, connected]),
      [
        ["w1", 8, true],
        ["w2", 8, true],
      ],
    );
    assert.match((await quick("workers")).stdout, /^WORKER +STATE +BUSY +TAGS/);
    const state = join(cwd, "not", "there");
    const checks = JSON.parse((await quick("doctor", "--json", "--state", state)).stdout) as {
      check: string;
      level: string;
    }[];
    assert.deepEqual(checks.filter(({ level }) => level === "fail"), []);
    for (const name of ["node", "state", "sh", "master", "clock"]) {
      assert.ok(
        checks.some(({ check }) => check === name),
        name,
      );
    }
    assert.equal(existsSync(join(cwd, "not")), false, "a doctor leaves nothing behind");
    const barred = JSON.parse(
      (await alone("doctor", "--json", "--state", join(cwd, "ok.yaml", "state"))).stdout,
    ) as { check: string; level: string }[];
    assert.equal(
      barred.find(({ check }) => check === "state")!.level,
      "fail",
      "a file is in the way",
    );
    const sick = await alone("doctor", "--master", "127.0.0.1:1");
    assert.equal(sick.code, 1);
    assert.match(sick.stdout, /^fail +master/m);
  });

  test("dead lists jobs that have spent their retries, and says how to retry one", async () => {
    assert.match((await quick("dead")).stderr, /no job has spent its retries/);
    writeFileSync(
      join(cwd, "dies.yaml"),
      "name: dies\njobs:\n  - {id: d, run: 'exit 9', retry: {max_attempts: 2, delay: 0}}\n",
    );
    assert.equal((await titan("run", "dies.yaml")).code, 3);
    const { stdout, stderr } = await quick("dead");
    const run = /^(dies-\w+)\/d +2 .*exited with code 9$/m.exec(stdout)![1]!;
    assert.match(
      stderr,
      new RegExp(`titan retry RUN --from JOB, such as: titan retry ${run} --from d`),
    );
    const [letter] = JSON.parse((await quick("dead", "--json")).stdout) as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      [letter!["run"], letter!["job"], letter!["attempts"], letter!["failures"], letter!["losses"]],
      [run, "d", 2, 2, 0],
    );
    assert.equal((letter!["failure"] as { exitCode: number }).exitCode, 9);
  });

  test("run --json tells a failure that is tried again from the last one", async () => {
    // The first job holds the second one back until the watch has begun.
    const go = join(cwd, "twice.go");
    writeFileSync(join(cwd, "twice.yaml"), `name: twice
jobs:
  - {id: hold, run: 'until [ -e "$GO" ]; do sleep 0.02; done', env: {GO: ${JSON.stringify(go)}}}
  - {id: a, needs: hold, run: '[ $TITAN_ATTEMPT = 2 ]', retry: {max_attempts: 2, delay: 0.05}}
  - {id: b, run: 'true', needs: a, when: failure}
`);
    const watch = start(["run", "twice.yaml", "--json"], { cwd, env });
    await watch.until("stdout", /"hold","status":"RUNNING"/);
    writeFileSync(go, "");
    const { stdout } = await watch.ended;
    const ends = lines(stdout).filter(({ job, final }) => job !== "hold" && final !== undefined);
    const short = ends.map(({ job, status, final }) => [job, status, final]);
    assert.deepEqual(short, [
      ["a", "FAILED", false],
      ["a", "COMPLETED", true],
      ["b", "SKIPPED", true],
    ]);
    const pauseMs = Number(ends[0]!["retryAt"]) - Number(ends[0]!["at"]);
    assert.ok(pauseMs >= 0 && pauseMs <= 100, `${pauseMs} ms`);
    assert.deepEqual(
      [ends[1]!["retryAt"], ends[2]!["reason"]],
      [undefined, "when: failure, and all parents completed"],
    );
  });

  test("a job that is being cancelled is said to be, until its process is gone", async () => {
    // Once it is asked to, it ends when it may.
    const go = join(cwd, "late.go");
    const end = `until [ -e \\"${go}\\" ]; do sleep 0.05; done; exit 1`;
    writeFileSync(
      join(cwd, "late.yaml"),
      `name: late\njobs:\n  - {id: s, run: 'trap "${end}" TERM; echo begun; ` +
        "while :; do sleep 0.05; done'}\n",
    );
    const watch = start(["run", "late.yaml", "--json"], { cwd, env });
    await watch.until("stdout", /RUNNING","attempt/);
    const run = String(lines(watch.stdout)[0]!["id"]);
    await eventually("it has begun", async () =>
      (await quick("logs", `${run}/s`)).stdout.includes("begun"),
    );
    assert.match((await quick("cancel", run)).stdout, /is cancelling/);
    const { job } = await statusOf(`${run}/s`);
    assert.deepEqual([job["status"], job["cancelling"]], ["RUNNING", true]);
    assert.match((await quick("status", run)).stdout, /RUNNING \(cancelling\)/);
    writeFileSync(go, "");
    await watch.ended;
    const said = lines(watch.stdout)
      .filter(({ type }) => type === "job")
      .map(({ status, cancelling }) => `${status}${cancelling === true ? " cancelling" : ""}`);
    assert.deepEqual(said.slice(-3), ["RUNNING", "RUNNING cancelling", "CANCELLED"]);
  });

  test("log repair is refused while a master has the folder; looking is not", async () => {
    const state = join(cwd, ".titan");
    const refused = await alone("log", "repair", state);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /it is in use/);
    assert.equal((await alone("log", "verify", state)).code, 0);
    assert.equal((await alone("log", "repair", state, "--dry-run")).code, 0);
    assert.ok(
      JSON.parse((await alone("log", "inspect", join(state, "log"), "--json")).stdout).records > 0,
    );
    assert.equal((await alone("log", "verify", cwd, "--dry-run")).code, 2);
    assert.equal((await alone("log", "explode", state)).code, 2);
    assert.equal((await alone("log", "verify", join(cwd, "nowhere"))).code, 1);
  });
});

// On a cluster of its own: the list of dead jobs above is looked at while it is empty.
test("submitOnce() tries again with one key, and names it if nobody knows the end", async () => {
  const submitted: string[] = [];
  const client = (...errors: string[]) => ({
    close() {},
    submit: async (_: unknown, { key }: { key: string }) => {
      submitted.push(key);
      throw new RpcError(errors.shift() as "CLOSED", "of this test");
    },
  });
  const tryIt = async (
    key: string | undefined,
    first: string,
    second: string,
  ): Promise<CliError> => {
    const notes: string[] = [];
    const call = {
      text: () => key,
      on: () => false,
      context: { note: (text: string) => notes.push(text) },
    };
    const target = { client: client(first), redial: async () => client(second), where: "" };
    const file = { definition: { jobs: [] }, folder: "/" };
    const error = await submitOnce(call as never, target as never, file as never).then(
      () => assert.fail("there is no master"),
      (found: CliError) => found,
    );
    assert.equal(notes.length, submitted.length - 1, notes.join());
    return error;
  };
  const refused = await tryIt("mine", "INVALID", "");
  assert.deepEqual(
    [refused.advice, submitted.splice(0)],
    [undefined, ["mine"]],
    "it was not accepted",
  );
  const unsure = await tryIt("mine", "CLOSED", "INVALID");
  assert.deepEqual(submitted.splice(0), ["mine", "mine"]);
  assert.match(
    unsure.advice!,
    /accepted is not known: the same command with --key mine finds out$/,
  );
  const own = await tryIt(undefined, "CLOSED", "INVALID");
  const [key, again] = submitted.splice(0);
  assert.match(key!, /^cli-[0-9a-f]{24}$/);
  assert.equal(again, key);
  assert.ok(own.advice!.includes(`the same command with --key ${key} finds out`), own.advice);
});

test("run --json says of a job that has spent its retries that this was the last one", async () => {
  const file = join(cwd, "spent.yaml");
  writeFileSync(
    file,
    "name: spent\njobs:\n  - {id: d, run: 'exit 9', retry: {max_attempts: 2, delay: 0}}\n",
  );
  const args = ["run", file, "--embedded", "--workers", "1", "--json"];
  const { code, stdout } = await runTitan(args, { cwd });
  assert.equal(code, 3);
  const ends = lines(stdout).filter(({ final }) => final !== undefined);
  const short = ends.map(({ status, attempt, final }) => [status, attempt, final]);
  assert.deepEqual(short.at(-1), ["DEAD", 2, true]);
  assert.equal(ends.at(-1)!["retryAt"], undefined);
});

test("log inspect, verify and repair say that there is no log, and fail", async () => {
  for (const action of ["inspect", "verify", "repair"]) {
    const { code, stderr } = await alone("log", action, tempFolder());
    assert.equal(code, 1);
    assert.match(stderr, /there is none\n$/);
  }
});

test("log verify finds a flipped bit, and repair cuts there", async () => {
  const folder = tempFolder({ "ok.yaml": PIPELINES["ok.yaml"] });
  const state = join(folder, "state");
  const ran = await runTitan(["run", "ok.yaml", "--embedded", "--workers", "1", "--state", state], {
    cwd: folder,
  });
  assert.equal(ran.code, 0, ran.stderr);
  const log = join(state, "log");
  const segment = join(log, readdirSync(log).find((name) => name.endsWith(".seg"))!);
  const bytes = readFileSync(segment);
  assert.match((await alone("log", "verify", state)).stdout, /records intact/);
  appendFileSync(segment, "torn");
  assert.match((await alone("log", "verify", state)).stdout, /torn tail of 4 bytes/);
  writeFileSync(segment, bytes);
  const at = Math.floor(bytes.length / 2);
  const file = openSync(segment, "r+");
  writeSync(file, Buffer.of(bytes[at]! ^ 1), 0, 1, at);
  closeSync(file);
  const verify = await alone("log", "verify", state);
  assert.equal(verify.code, 1);
  assert.match(verify.stdout, /DAMAGED .*\.seg at byte \d+/);
  const refused = await runTitan(["up", "--state", state, "--port", "0"], { cwd: folder });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /titan eventlog verify/);
  assert.match(
    (await alone("log", "repair", state, "--dry-run")).stdout,
    /would keep everything up to record \d+/,
  );
  assert.equal((await alone("log", "verify", state)).code, 1, "a dry run changed nothing");
  assert.match((await alone("log", "repair", state)).stdout, /keeps everything up to record \d+/);
  assert.equal((await alone("log", "verify", state)).code, 0);
});
