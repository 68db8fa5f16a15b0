/**
 * What a simulated cluster has left behind at the end of a test.
 *
 *     all runs are cancelled ─▶ workers come to rest, and stop   (their counts, and the simulator)
 *     peers vanish ─▶ nobody is connected, watches, follows      (counts of the master)
 *     all runs are cancelled ─▶ no job, timer, requirement, seat (counts of the master)
 *     the master stops ─▶ no file, lock, port, timer             (the simulator knows them all)
 *
 * Each step waits in virtual time until its condition holds, and names what is left if it never
 * does.
 */
import type { Address, Host } from "#host";
import type { Master } from "#master";
import { connect } from "#sdk";
import type { SimWorld } from "#simhost";
import { MAX_GRACE_MS, type JobSpec } from "#wire";
import type { Worker } from "#worker";

/** Runs the cluster's last requests. */
const KEEPER = "keeper";
/** Longer than anything in the master waits for anybody. */
const PATIENCE_MS = 2 * MAX_GRACE_MS;
/** What a master holds while it serves and has nothing to do. */
const SERVING = /^(lock \/state\/lock|port m:\d+|file \/state\/log\/[^/]+\.seg)$/;

export interface SimRoom {
  readonly world: SimWorld;
  /** The one that was started last; it may be dead or stopped by now. */
  readonly master: Master | undefined;
  readonly address: Address;
  readonly token?: string | undefined;
  /** Real workers, by the names of their hosts. */
  readonly workers?: ReadonlyMap<string, { readonly worker: Worker; readonly host: Host }>;
}

/** To be awaited where virtual time passes: inside `world.settle`. */
export async function nothingIsLeft(room: SimRoom): Promise<void> {
  const { world, master, address, token } = room;
  if (master === undefined || !world.hosts.includes("m")) return;
  world.resume("m");
  world.disk("m").heal();
  if (room.workers !== undefined && serves(world)) await workersLeave(room, room.workers);
  for (const name of world.hosts) if (name !== "m") world.crash(name);
  if (!serves(world)) return await closed(world, "m");
  for (const what of world.open("m")) {
    if (what.startsWith("connection ")) world.cut("m", peer(what));
  }
  const { workers, classes, seats } = master.counts();
  if (seats > workers * classes) {
    throw new Error(`${workers} workers have ${seats} seats in ${classes} classes`);
  }
  await none(world, master, [
    "connections",
    "requests",
    "watchers",
    "backlog",
    "forwards",
    "followers",
    "held",
  ]);
  await cancelAll(world, address, token);
  await none(world, master, [
    "connections",
    "members",
    "links",
    "workers",
    "seats",
    "ready",
    "delayed",
    "gates",
    "paused",
    "closing",
    "requirements",
    "files",
    "leftovers",
    "unconfirmed",
  ]);
  await master.snapshot();
  await eventually(world, () => {
    const open = world.open("m");
    const extra = open.filter((what) => !SERVING.test(what));
    const files = open.filter((what) => what.startsWith("file "));
    const left = extra.length > 0 || files.length < 2 ? extra : files;
    return left.map((what) => `${what} (of an idle master)`);
  });
  await master.stop();
  await closed(world, "m");
}

function serves(world: SimWorld): boolean {
  return world.open("m").some((what) => what.startsWith("port "));
}

/** Those that still live end what they run, come to rest, and stop. */
async function workersLeave(
  { world, address, token }: SimRoom, workers: NonNullable<SimRoom["workers"]>,
): Promise<void> {
  const living = [...workers].filter(([name, { host }]) =>
    world.hosts.includes(name) && world.host(name) === host);
  for (const [name] of living) {
    world.resume(name);
    world.release(name, "m");
    world.release("m", name);
  }
  await cancelAll(world, address, token);
  for (const [name, { worker }] of living) {
    await eventually(world, () => Object.entries(worker.counts()).flatMap(([what, count]) =>
      (count === 0 ? [] : [`${count} ${what} of ${name}`])));
    await worker.stop();
    await closed(world, name);
  }
}

/** `connection c1:40001` */
function peer(what: string): string {
  return what.slice("connection ".length, what.lastIndexOf(":"));
}

/**
 * Also a job of its own that would begin in an hour, and one that waits for it: few tests leave
 * such.
 */
async function cancelAll(world: SimWorld, master: Address, token?: string): Promise<void> {
  const client = await connect({ host: world.host(KEEPER), master, token });
  const jobs = [later("asleep", 3_600_000), { ...later("waits", 0), dependsOn: [0] }];
  await client.submitSpec({ name: "keeper", version: undefined, project: undefined, jobs });
  for (const { id, status } of await client.runs()) {
    if (status === "RUNNING" || status === "SERVING") await client.cancel(id);
  }
  world.crash(KEEPER);
}

function later(id: string, delayMs: number): JobSpec {
  return {
    id, delayMs, action: { type: "command", argv: ["true"] }, dependsOn: [], requirement: [],
    priority: 1, affinity: undefined, when: "success", timeoutMs: 0, retry: undefined, env: {},
    gate: undefined,
  };
}

function none(
  world: SimWorld, master: Master, names: readonly (keyof ReturnType<Master["counts"]>)[],
): Promise<void> {
  return eventually(world, () => {
    const counts = master.counts();
    return names.flatMap((name) => (counts[name] === 0 ? [] : [`${counts[name]} ${name}`]));
  });
}

function closed(world: SimWorld, name: string): Promise<void> {
  return eventually(world, () =>
    world.open(name).map((what) => `${what} (of ${name}, after its end)`),
  );
}

/** Lets virtual time pass until nothing is left; the steps grow, for most of it takes no time. */
async function eventually(world: SimWorld, left: () => string[]): Promise<void> {
  const end = world.now + PATIENCE_MS;
  for (let step = 1; left().length > 0; step = Math.min(2 * step, 1000)) {
    if (world.now > end) throw new Error(`the test has left behind: ${left().join(", ")}`);
    await new Promise<void>((resolve) => void world.host(KEEPER).timers.after(step, resolve));
  }
}
