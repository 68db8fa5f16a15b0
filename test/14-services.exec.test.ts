/**
 * Chapter 14, on the real machine: a service's own pid and port, its check program, and who has a
 * port.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createExecutor, type ExecRequest } from "#exec";
import { portHolder } from "#host";
import { nodeWorkerHost } from "#process";
import { removeTreeSync } from "../scripts/lib/remove-tree.mjs";
import { eventually, isAlive } from "./processes.support.ts";
import "./leaks.support.ts";

const folder = mkdtempSync(join(tmpdir(), "titan-services-"));
const executor = createExecutor({ host: nodeWorkerHost(), workDir: join(folder, "work") });
after(async () => {
  await executor.close();
  removeTreeSync(folder);
});

let attempts = 0;

/** A service that runs this script. */
function start(script: string, fields: Partial<ExecRequest> = {}) {
  let text = "";
  const request: ExecRequest = {
    run: "r", job: "web", attempt: ++attempts, worker: "w", env: {}, timeoutMs: 0, inputs: [],
    action: { type: "shell", script }, port: 20_123, ...fields,
  };
  const running = executor.start(request, (_stream, bytes) => (text += bytes.toString()));
  return { running, text: () => text };
}

test("a service is told its port, and its pid is its own", async () => {
  const { running, text } = start('echo "$TITAN_PORT $$"; exec sleep 60');
  await eventually("its first line", () => text().includes("\n"));
  assert.equal(text(), `20123 ${running.pid}\n`);
  running.cancel();
  assert.equal((await running.done).kind, "cancelled");
});

test("check() runs in the folder and with the variables of the service, and tells what " +
  "failed", async () => {
  const { running, text } = start("echo here > mark; echo up; exec sleep 60", { env: { A: "b" } });
  await eventually("it is up", () => text().includes("up"));
  const check = (script: string, timeoutMs = 5000): Promise<string | undefined> =>
    running.check!(["sh", "-c", script], timeoutMs);
  assert.equal(await check('test -f mark && test "$A$TITAN_PORT" = b20123'), undefined);
  // A name of its own, by which the sweep tells it from the service.
  assert.equal(await check('case "$TITAN_JOB" in ?*/healthcheck) ;; *) exit 1 ;; esac'), undefined);
  assert.equal(await check("exit 3"), "sh exited with code 3");
  assert.equal(await check("kill -9 $$"), "sh was ended by SIGKILL");
  const missing = await running.check!(["no-such-program"], 5000);
  assert.match(missing!, /Cannot start "no-such-program"/);
  assert.equal(await check("sleep 60", 100), "sh took longer than 100 ms");
  assert.ok(isAlive(running.pid!), "none of this has touched the service");
  const late = check("sleep 60", 60_000);
  running.cancel();
  await running.done;
  assert.equal(await late, "the service has ended");
});

test("the end of a check is not taken for the end of the service: what the service has started " +
  "lives", async () => {
  const { running, text } = start("setsid sleep 60 & echo $!; exec sleep 60");
  await eventually("its first line", () => text().includes("\n"));
  for (let checks = 0; checks < 3; checks++) {
    assert.equal(await running.check!(["true"], 5000), undefined);
    await new Promise((passed) => setTimeout(passed, 300));
  }
  assert.ok(isAlive(Number(text())));
  running.cancel();
  await running.done;
  await eventually("its child is gone", () => !isAlive(Number(text())));
});

test("a service that ignores SIGTERM is killed after its grace, with all that it has " +
  "started", async () => {
  const { running, text } = start('trap "" TERM; sleep 60 & echo $!; wait; sleep 60', {
    graceMs: 100,
  });
  await eventually("its first line", () => text().includes("\n"));
  running.cancel();
  const { message } = await running.done;
  assert.match(message!, /it did not end on SIGTERM and was killed/);
  await eventually("its child is gone", () => !isAlive(Number(text())));
});

test("a service that forks into the background has ended, and what it left is ended, " +
  "too", async () => {
  const { running, text } = start("sleep 60 & echo $!");
  assert.equal((await running.done).status, "ok");
  await eventually("its child is gone", () => !isAlive(Number(text())));
});

test("portHolder() names the process that listens", async (t) => {
  if (process.platform !== "linux") return t.skip("only on Linux");
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address() as AddressInfo;
  assert.match((await portHolder(port))!, new RegExp(`^pid ${process.pid} \\(.*node`));
  await new Promise((closed) => server.close(closed));
  assert.equal(await portHolder(port), undefined);
});
