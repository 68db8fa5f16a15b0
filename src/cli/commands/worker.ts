/** `titan worker`: a process that offers slots. Lesson 11 is about what it does. */
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { hostPort } from "#base";
import { sharedRoot, VERSION } from "#host";
import { nodeProcesses, removalsDone, takeProcessFolder } from "#process";
import { MAX_SLOTS } from "#wire";
import { DEFAULT_MASTER, namedMaster, tokenOf } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { plural, withoutRepeats } from "../text.ts";

/** Its jobs have 5 s to end once they are asked to; then this process ends, whatever still hangs. */
const STOP_MS = 6500;

export const worker: Command = {
  name: "worker",
  summary: "offer slots to a master",
  usage: "",
  args: [0, 0],
  flags: {
    tags: { type: "string", value: "TAG,TAG", summary: "capabilities beyond GENERAL, such as GPU,HIGH_MEM" },
    slots: { type: "string", value: "N", summary: "jobs at once (default: one per processor)" },
    name: { type: "string", value: "NAME", summary: "how it is called (default: the master chooses)" },
    permanent: { type: "boolean", summary: "never retired by auto-scaling; has no effect yet, as there is no auto-scaling yet" },
    home: { type: "string", value: "DIR", summary: "work folders and project cache (default TITAN_HOME, else .titan)" },
    "parent-pipe": { type: "boolean", summary: "end when stdin ends", hidden: true },
  },
  notes: [
    "A worker dials its master and needs no open port. When the connection breaks it dials again, for as long as it takes; jobs go on meanwhile.",
    "It stops at SIGTERM or Ctrl-C: its jobs are asked to end, and the master starts them elsewhere.",
  ],
  examples: ["titan worker --master 10.0.0.5:9090 --tags GPU --slots 4", "TITAN_TOKEN=… titan worker --master titan.example.org:9090"],
  run,
};

async function run(call: Call): Promise<number> {
  const { context } = call;
  const master = namedMaster(call) ?? DEFAULT_MASTER;
  const slots = call.count("slots", { min: 1, max: MAX_SLOTS }) ?? availableParallelism();
  const tags = call.tags() ?? [];
  const name = call.text("name");
  const token = tokenOf(call);
  const home = resolve(call.text("home") ?? context.home);
  const [{ startWorker }, { createExecutor }] = await Promise.all([import("#worker"), import("#exec")]);

  const onNote = (text: string): void => context.note(`titan: ${text}`);
  const folder = await takeProcessFolder(join(home, "workers"), { onNote });
  // At the very end, so that it happens also when something hangs and the process is ended from within.
  process.on("exit", () => removeLast(folder));
  const started = startWorker({
    host: context.host, master, slots, tags, version: VERSION, cacheDir: join(home, "cache"),
    executor: createExecutor({
      host: { ...context.host, processes: nodeProcesses() }, workDir: join(folder, "jobs"), sharedRoot: sharedRoot(), onNote,
    }),
    ...(name !== undefined && { name }), ...(token !== undefined && { token }),
    onNote: withoutRepeats(onNote),
  });

  let stopped: Promise<void> | undefined;
  const stop = (): void => {
    setTimeout(() => process.exit(EXIT.OK), STOP_MS).unref();
    const { running } = started;
    // Whoever waits for a worker wants to know what it waits for. One that has a parent is told of by the parent.
    if (stopped === undefined && running > 0 && !call.on("parent-pipe")) context.note(`titan: stopping; ${plural(running, "job")} ${running === 1 ? "has" : "have"} 5 s to end (Ctrl-C again stops at once)`);
    stopped ??= started.stop();
  };
  context.onInterrupt((signal, times) => {
    // A terminal sends Ctrl-C to the whole family; who has a parent is told by the parent.
    if (call.on("parent-pipe") && signal !== "SIGTERM") return;
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    stop();
  });
  if (call.on("parent-pipe")) endWithParent(stop);

  started.ready.then((registered) => {
    if (call.json) context.json({ type: "worker", name: registered.name, pid: process.pid, master: hostPort(master), slots, tags });
    else context.out(`${registered.name} offers ${slots} ${slots === 1 ? "slot" : "slots"} to ${hostPort(master)}${tags.length > 0 ? ` (${tags.join(", ")})` : ""}`);
  }, () => undefined); // `done` says why
  await started.done;
  await stopped; // The connection is closed before the last job has tidied up.
  await removalsDone(); // STOP_MS ends this, too
  return EXIT.OK;
}

/**
 * The executor has removed what jobs left, unless it hangs. What resists is left for the
 * next worker's sweep.
 */
function removeLast(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 2 });
  } catch {
    // Nobody is left to be told.
  }
}

/** Nothing ever comes through this pipe; that it ends is the message. */
function endWithParent(stop: () => void): void {
  process.stdin.on("end", stop).on("error", stop).resume();
  // With the parent gone nobody reads what we say, and saying it must not end us before the jobs have ended.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
}
