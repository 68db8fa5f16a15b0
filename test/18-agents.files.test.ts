/**
 * Files of a job that uses `titan-orchestrator/job`: artifacts of its own run, and `outputs` of one
 * that waits between two attempts. The worker and its jobs are real; their programs are played here
 * with the credentials that the worker gave them.
 */
import assert from "node:assert/strict";
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createExecutor } from "#exec";
import { nodeHost, removeTree } from "#host";
import { startMaster, type Master } from "#master";
import { parsePipeline } from "#pipeline";
import { nodeWorkerHost } from "#process";
import { connect, type Client } from "#sdk";
import { startWorker, type Worker } from "#worker";
import { JobProgram, jobSettings } from "../src/sdk/job.ts";
import { refusal } from "./10-master.support.ts";

const folder = mkdtempSync(join(tmpdir(), "titan-files-"));
let master: Master;
let client: Client;
let worker: Worker;

before(async () => {
  const at = { host: "127.0.0.1", port: 0 };
  master = await startMaster({ host: nodeHost(), dir: join(folder, "state"), listen: at });
  const executor = createExecutor({ host: nodeWorkerHost(), workDir: join(folder, "jobs") });
  const cacheDir = join(folder, "cache");
  worker = startWorker({ host: nodeHost(), master, executor, cacheDir, slots: 4 });
  await worker.ready;
  client = await connect({ master });
});

after(async () => {
  client?.close();
  await worker?.stop();
  await master?.stop();
  await removeTree(folder);
});

async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (let looks = 0; looks < 1000; looks++) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`still not true: ${look}`);
}

/**
 * A job whose attempts write down their settings, and then wait for this test: its shell does what
 * the file `go-N` says.
 */
async function played(name: string, keys = ""): Promise<{
  run: string;
  program(attempt: number): Promise<JobProgram>;
  go(attempt: number, script: string): void;
}> {
  const dir = join(folder, name);
  mkdirSync(dir);
  const script = `at='${dir}'; env > "$at/new"; mv "$at/new" "$at/env-$TITAN_ATTEMPT"; ` +
    'while [ ! -e "$at/go-$TITAN_ATTEMPT" ]; do sleep 0.02; done; . "$at/go-$TITAN_ATTEMPT"';
  const job = `{id: plan, run: ${JSON.stringify(script)}${keys}}`;
  const { run } = await client.submit(
    parsePipeline(`{name: ${name}, project: false, jobs: [${job}]}`),
  );
  const go = (attempt: number, text: string): void => {
    writeFileSync(join(dir, "next"), text);
    renameSync(join(dir, "next"), join(dir, `go-${attempt}`));
  };
  return {
    run,
    go,
    async program(attempt) {
      const file = join(dir, `env-${attempt}`);
      await until(() => existsSync(file));
      const env = new Map(readFileSync(file, "utf8").split("\n").map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      }));
      return new JobProgram(jobSettings((key) => env.get(key)), {
        end: () => go(attempt, "echo half > report.md"),
      });
    },
  };
}

const names = async (run: string): Promise<string[]> =>
  (await client.artifacts({ run })).map(({ name }) => name);

async function textOf(bytes: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const piece of bytes) text += String(piece);
  return text;
}

test("outputs of a job that waits are collected when it completes, and not before", async () => {
  const job = await played("waits", ", outputs: [report.md]");
  const first = await job.program(1);
  // It never comes back: the attempt ends, with half a report in its folder.
  void first.ask("go", { message: "Go on?" });
  for (;;) {
    const { jobs: [row] } = await client.status(job.run);
    if (row!.status === "WAITING") break;
    assert.equal(row!.status, "RUNNING", row!.failure?.message);
  }
  assert.deepEqual(await names(job.run), []);
  await client.decide(`${job.run}/plan:go`, { approve: true });
  const second = await job.program(2);
  assert.equal((await second.ask("go", { message: "Go on?" })).approved, true);
  job.go(2, "echo whole > report.md");
  assert.equal((await client.wait(job.run)).status, "COMPLETED");
  assert.deepEqual(await names(job.run), ["plan/report.md"]);
  const { bytes } = await client.getArtifact("plan/report.md", { run: job.run });
  assert.equal(await textOf(bytes), "whole\n");
  first.close();
  second.close();
});

test("a job that has not waited must have made its outputs", async () => {
  const job = await played("stays", ", outputs: [report.md]");
  const program = await job.program(1);
  await program.artifact.put("notes.txt", "x");
  job.go(1, "exit 0");
  assert.equal((await client.wait(job.run)).status, "FAILED");
  const { jobs: [row] } = await client.status(job.run);
  assert.match(row!.failure!.message, /its output report\.md: it did not make this file/);
  program.close();
});

test("a job puts, lists and gets files of its run", async () => {
  const job = await played("files");
  const program = await job.program(1);
  const { artifact } = program;
  const { name, size, byJob, byAttempt } = (await artifact.put("notes.txt", "tides\n")).info;
  assert.deepEqual([name, size, byJob, byAttempt], ["notes.txt", 6, "plan", 1]);
  async function* pieces(): AsyncGenerator<Buffer> {
    yield Buffer.from("a");
    yield Buffer.from("b");
  }
  await artifact.put("stream", pieces());
  await artifact.put("kept.txt", { file: join(folder, "files", "env-1") }, { keep: true });
  assert.deepEqual((await artifact.list()).map((each) => each.name), ["notes.txt", "stream"]);
  assert.equal(await textOf((await artifact.get("notes.txt")).bytes), "tides\n");
  assert.equal(await textOf((await artifact.get("stream")).bytes), "ab");
  assert.match(await textOf((await artifact.get("kept.txt")).bytes), /TITAN_ATTEMPT=1/);
  await assert.rejects(artifact.get("absent"), refusal("NOT_FOUND", /absent/));
  for await (const _ of (await artifact.get("notes.txt")).bytes) break;
  job.go(1, "exit 0");
  assert.equal((await client.wait(job.run)).status, "COMPLETED");
  await assert.rejects(artifact.put("late", "x"), refusal("CONFLICT", /attempt 1 of .* is over/));
  program.close();
});
