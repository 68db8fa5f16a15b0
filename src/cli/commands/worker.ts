/**
 * `titan worker`: a process that offers slots. Lesson 11 is about its work.
 *
 * Test: test/11-worker.workflows.test.ts
 */
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { hostPort } from "#base";
import { portHolder, sharedRoot, VERSION, type Address } from "#host";
import { MAX_SLOTS } from "#wire";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { DEFAULT_MASTER, namedMaster, tokenOf } from "../named-master.ts";
import { plural, withoutRepeats } from "../text.ts";

/** Its jobs have 5 s to end once they are asked to. Then this process ends, even if one hangs. */
const STOP_MS = 6500;

export const worker: Command = {
  name: "worker",
  summary: "offer slots to a master",
  usage: "",
  args: [0, 0],
  flags: {
    tags: {
      type: "string",
      value: "TAG,TAG",
      summary: "capabilities beyond GENERAL, such as GPU,HIGH_MEM",
    },
    slots: { type: "string", value: "N", summary: "jobs at once (default: one per processor)" },
    name: {
      type: "string",
      value: "NAME",
      summary: "how it is called (default: the master chooses)",
    },
    permanent: {
      type: "boolean",
      summary: "no pool ends it, even if one has started it",
    },
    home: {
      type: "string",
      value: "DIR",
      summary: "work folders and project cache (default TITAN_HOME, else .titan)",
    },
    ports: {
      type: "string",
      value: "FROM-TO",
      summary: "ports for services that name none (default 20000-29999)",
    },
    advertise: {
      type: "string",
      value: "HOST",
      summary: "where others reach services here (default: as the master sees this machine)",
    },
    "parent-pipe": { type: "boolean", summary: "end when stdin ends", hidden: true },
  },
  notes: [
    "A worker dials its master and needs no open port. When the connection breaks it dials " +
      "again, for as long as it takes; jobs go on meanwhile.",
    "In a pool's program the master, the token's file, name, slots and tags are in the " +
      "environment, and titan worker needs no flags: TITAN_MASTER, TITAN_TOKEN_FILE, " +
      "TITAN_WORKER_NAME, TITAN_SLOTS, TITAN_TAGS.",
    "It stops at SIGTERM or Ctrl-C: its jobs are asked to end, and the master starts them " +
      "elsewhere.",
  ],
  examples: [
    "titan worker --master 10.0.0.5:9090 --tags GPU --slots 4",
    "TITAN_TOKEN=… titan worker --master titan.example.org:9090",
  ],
  run,
};

async function run(call: Call): Promise<number> {
  const { context } = call;
  const master = namedMaster(call) ?? DEFAULT_MASTER;
  const range = { min: 1, max: MAX_SLOTS };
  const slots = call.count("slots", range, "TITAN_SLOTS") ?? availableParallelism();
  const tags = call.tags("tags", "TITAN_TAGS") ?? [];
  const offered = offerOf(call);
  const home = resolve(call.text("home") ?? context.home);
  const [
    { startWorker },
    { createExecutor },
    { nodeProcesses, removalsDone, takeProcessFolder },
  ] = await Promise.all([import("#worker"), import("#exec"), import("#process")]);

  const onNote = (text: string): void => context.note(`titan: ${text}`);
  const folder = await takeProcessFolder(join(home, "workers"), { onNote });
  // At the very end: also when something hangs and the process is ended from within.
  process.on("exit", () => removeLast(folder));
  const started = startWorker({
    host: context.host,
    master,
    slots,
    tags,
    version: VERSION,
    cacheDir: join(home, "cache"),
    executor: createExecutor({
      host: { ...context.host, processes: nodeProcesses() },
      workDir: join(folder, "jobs"),
      sharedRoot: sharedRoot(),
      onNote,
    }),
    portHolder,
    ...offered,
    onNote: withoutRepeats(onNote),
  });

  let stopped: Promise<void> | undefined;
  const stop = (): void => {
    setTimeout(() => process.exit(EXIT.OK), STOP_MS).unref();
    if (stopped === undefined) noteStopping(call, started.running);
    stopped ??= started.stop();
  };
  context.onInterrupt((signal, times) => {
    // A terminal sends Ctrl-C to the whole family, and our parent will tell us to stop.
    if (call.on("parent-pipe") && signal !== "SIGTERM") return;
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    stop();
  });
  if (call.on("parent-pipe")) endWithParent(stop);

  const offer = { master: hostPort(master), slots, tags };
  started.ready.then(
    (registered) => announce(call, registered.name, offer),
    () => undefined, // `done` tells why it is not ready
  );
  await started.done.catch(foreign(master));
  await stopped; // the connection is closed before the last job has tidied up
  await removalsDone(); // STOP_MS ends this, too
  return EXIT.OK;
}

/** Not a master, such as the dashboard at the port beside it. */
function foreign(master: Address): (error: { code?: string; message: string }) => never {
  return (error) => {
    if (error.code !== "BAD_FRAME") throw error;
    const found = `something answers there, but it is not a Titan master (${error.message})`;
    const doing = `Cannot reach the master at ${hostPort(master)}`;
    throw new CliError(EXIT.UNREACHABLE, `${doing}: ${found}`);
  };
}

/** What a flag or the environment says of it, and nothing else. */
function offerOf(call: Call): {
  name?: string; token?: string; ports?: { from: number; to: number }; advertise?: string;
  permanent?: boolean;
} {
  const name = call.text("name") ?? call.context.setting("TITAN_WORKER_NAME");
  const [token, ports] = [tokenOf(call), portsOf(call)];
  const advertise = call.text("advertise");
  return {
    ...(name !== undefined && { name }),
    ...(token !== undefined && { token }),
    ...(ports !== undefined && { ports }),
    ...(advertise !== undefined && { advertise }),
    ...(call.on("permanent") && { permanent: true }),
  };
}

/** `20000-29999` */
function portsOf(call: Call): { from: number; to: number } | undefined {
  const text = call.text("ports");
  if (text === undefined) return undefined;
  const [, from, to] = /^(\d{1,5})-(\d{1,5})$/.exec(text)?.map(Number) ?? [];
  if (from !== undefined && to !== undefined && from >= 1 && from <= to && to <= 65_535) {
    return { from, to };
  }
  throw new UsageError(`Cannot use --ports ${text}: must be FROM-TO, such as 20000-29999`);
}

interface Offer {
  readonly master: string;
  readonly slots: number;
  readonly tags: readonly string[];
}

function announce({ context, json }: Call, name: string, { master, slots, tags }: Offer): void {
  if (json) return context.json({ type: "worker", name, pid: process.pid, master, slots, tags });
  const tagText = tags.length > 0 ? ` (${tags.join(", ")})` : "";
  context.out(`${name} offers ${plural(slots, "slot")} to ${master}${tagText}`);
}

/** A person wants to know why the worker goes on for a while. A parent tells its own person. */
function noteStopping(call: Call, running: number): void {
  if (running === 0 || call.on("parent-pipe")) return;
  const have = `${plural(running, "job")} ${running === 1 ? "has" : "have"}`;
  call.context.note(`titan: stopping; ${have} 5 s to end (Ctrl-C again stops at once)`);
}

/**
 * The executor has removed the folders of its jobs, unless it hangs. A folder that resists is left
 * for the next worker's sweep.
 */
function removeLast(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 2 });
  } catch {
    // Nobody is left to be told.
  }
}

/** Nothing ever comes through this pipe: its end is the message. */
function endWithParent(stop: () => void): void {
  process.stdin.on("end", stop).on("error", stop).resume();
  // Without the parent nobody reads our output, and writing it must not end us before the jobs.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
}
