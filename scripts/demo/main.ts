/**
 * `npm run demo`: a real pipeline on a real cluster, by the commands that anybody can type.
 *
 * Boots a master and two workers as processes of their own, ships a folder to them, runs a map-reduce over the text of this
 * checkout, shows what the jobs said, stops everything and removes every file it made.
 *
 * Invariants: needs no network beyond loopback and no program beyond Node; leaves nothing behind, also after Ctrl-C.
 */
import type { ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endTogether, startMember } from "../lib/family.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const CLI = join(ROOT, "dist/cli/main.js");
const SHARDS = 8;
const SHUTDOWN_MS = 10_000;

const home = mkdtempSync(join(tmpdir(), "titan-demo-"));
const roles: ChildProcess[] = [];

function say(text: string): void {
  console.log(text);
}

/** Shows a command as a person would type it, and runs it with our terminal. */
function command(...args: string[]): Promise<number> {
  say(`\n$ titan ${args.join(" ").replaceAll(home, "$DEMO")}`);
  const child = startMember([CLI, ...args], { stdio: "inherit", env: environment() });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

function environment(): NodeJS.ProcessEnv {
  const { TITAN_TOKEN: _token, ...env } = process.env;
  return { ...env, TITAN_HOME: join(home, "state"), ...(master === undefined ? {} : { TITAN_MASTER: master }) };
}

let master: string | undefined;

/** Starts a role in the background; resolves with its first line, which it prints as JSON when it is ready. */
function role(...args: string[]): Promise<Record<string, unknown>> {
  say(`$ titan ${args.join(" ").replaceAll(home, "$DEMO")} &`);
  const child = startMember([CLI, ...args, "--json"], { stdio: ["ignore", "pipe", "inherit"], env: environment(), detached: true });
  roles.push(child);
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", (line) => resolve(JSON.parse(line) as Record<string, unknown>));
    child.once("exit", (code) => reject(new Error(`Cannot start "titan ${args[0]}": it ended with code ${code}`)));
  });
}

/** The lessons, the sources and the documents, dealt into shards of about equal size. */
function collectText(folder: string): { files: number; bytes: number } {
  mkdirSync(folder, { recursive: true });
  const shards = Array.from({ length: SHARDS }, () => [] as string[]);
  const sizes = new Array<number>(SHARDS).fill(0);
  let files = 0;
  for (const top of ["lessons", "src", "docs"]) {
    for (const entry of readdirSync(join(ROOT, top), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || ![".md", ".ts"].includes(extname(entry.name))) continue;
      const text = readFileSync(join(entry.parentPath ?? entry.path, entry.name), "utf8");
      const smallest = sizes.indexOf(Math.min(...sizes));
      shards[smallest]!.push(text);
      sizes[smallest]! += text.length;
      files += 1;
    }
  }
  shards.forEach((texts, index) => writeFileSync(join(folder, `${index + 1}.txt`), texts.join("\n")));
  return { files, bytes: sizes.reduce((a, b) => a + b, 0) };
}

/** The workers first: then nobody misses the master. */
async function stopRoles(): Promise<void> {
  const [first, ...workers] = roles;
  await Promise.all(workers.map(stop));
  if (first !== undefined) await stop(first);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), SHUTDOWN_MS);
  await exited;
  clearTimeout(force);
}

async function demo(): Promise<number> {
  const project = join(home, "wordcount");
  cpSync(join(ROOT, "scripts/demo/project"), project, { recursive: true });
  const { files, bytes } = collectText(join(project, "text"));
  say(`Titan demo: count the words of ${files} files (${(bytes / 1e6).toFixed(1)} MB: this checkout's lessons and sources)`);
  say(`on a master and two workers, each a process of its own. $DEMO is a temporary folder.\n`);

  const ready = await role("master", "--port", "0", "--state", join(home, "state"));
  master = `127.0.0.1:${ready.port}`;
  await Promise.all([
    role("worker", "--master", master, "--name", "small", "--slots", "4"),
    role("worker", "--master", master, "--name", "big", "--slots", "2", "--tags", "BIG_MEM"),
  ]);
  await command("workers");
  const key = "demo";
  const code = await command("run", join(project, "pipeline.yaml"), "--key", key);
  if (code !== 0) return code;
  // The key names the run: submitting again with it does nothing but say which run that was.
  const run = await runId();
  await command("logs", `${run}/stopwords`);
  await command("logs", `${run}/report`);
  await command("log", "inspect", join(home, "state"));
  return 0;
}

async function runId(): Promise<string> {
  const child = startMember([CLI, "runs", "--json"], { stdio: ["ignore", "pipe", "inherit"], env: environment() });
  let text = "";
  for await (const chunk of child.stdout!) text += String(chunk);
  const runs = JSON.parse(text) as { id: string }[];
  const id = runs[0]?.id;
  if (id === undefined) throw new Error("Cannot find the demo's run: the master knows none");
  return id;
}

let interrupted = false;
// The last reader of our output has gone, or the process that started us.
endTogether(async () => {
  interrupted = true;
  await stopRoles();
  rmSync(home, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    void finish(130);
  });
}

async function finish(code: number): Promise<never> {
  await stopRoles();
  rmSync(home, { recursive: true, force: true });
  process.exit(code);
}

try {
  const code = await demo();
  if (!interrupted) {
    await stopRoles();
    say(code === 0 ? "\nEverything is stopped and removed. Look further:\n" : "\nThe demo failed.");
    if (code === 0) {
      say("  npm run -s titan -- up                     a cluster of your own");
      say("  npm run -s titan -- run lessons/17-pipelines/examples/hello.yaml");
      say("  npm run chapter 5                          the tests of one chapter");
      say("  lessons/00-tour/README.md                  the book begins here");
    }
    await finish(code);
  }
} catch (error) {
  console.error(`demo: ${(error as Error).message}`);
  await finish(1);
}
