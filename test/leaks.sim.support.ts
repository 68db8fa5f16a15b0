/**
 * What a simulated cluster has left behind at the end of a test.
 *
 *     peers vanish ─▶ nobody is connected, watches, follows      (counts of the master)
 *     all runs are cancelled ─▶ no job, timer, requirement, seat (counts of the master)
 *     the master stops ─▶ no file, lock, port, timer             (the simulator knows them all)
 *
 * Each step waits in virtual time until its condition holds, and names what is left if it never does.
 */
import type { Address } from "#host";
import type { Master } from "#master";
import { connect } from "#sdk";
import type { SimWorld } from "#sim";
import { MAX_GRACE_MS, type JobSpec } from "#wire";

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
}

/** To be awaited where virtual time passes: inside `world.settle`. */
export async function nothingIsLeft({ world, master, address, token }: SimRoom): Promise<void> {
  if (master === undefined || !world.hosts.includes("m")) return;
  world.resume("m");
  world.disk("m").heal();
  for (const name of world.hosts) if (name !== "m") world.crash(name);
  if (!world.open("m").some((what) => what.startsWith("port "))) return await closed(world);
  for (const what of world.open("m")) if (what.startsWith("connection ")) world.cut("m", peer(what));
  const { workers, classes, seats } = master.counts();
  if (seats > workers * classes) throw new Error(`${workers} workers have ${seats} seats in ${classes} classes`);
  await none(world, master, ["connections", "requests", "watchers", "backlog", "followers", "held"]);
  await cancelAll(world, address, token);
  await none(world, master, [
    "connections", "members", "links", "workers", "seats", "ready", "delayed", "gates", "requirements",
    "files", "leftovers",
  ]);
  await master.snapshot();
  const extra = world.open("m").filter((what) => !SERVING.test(what));
  const files = world.open("m").filter((what) => what.startsWith("file "));
  if (extra.length > 0) throw new Error(`an idle master still has: ${extra.join(", ")}`);
  if (files.length > 1) throw new Error(`an idle master still has: ${files.join(", ")}`);
  await master.stop();
  await closed(world);
}

/** `connection c1:40001` */
function peer(what: string): string {
  return what.slice("connection ".length, what.lastIndexOf(":"));
}

/** Also a job of its own that would begin in an hour, and one that waits for it: few tests leave such. */
async function cancelAll(world: SimWorld, master: Address, token?: string): Promise<void> {
  const client = await connect({ host: world.host(KEEPER), master, token });
  const jobs = [later("asleep", 3_600_000), { ...later("waits", 0), dependsOn: [0] }];
  await client.submitSpec({ name: "keeper", version: undefined, project: undefined, jobs });
  for (const { id, status } of await client.runs()) if (status === "RUNNING") await client.cancel(id);
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

function closed(world: SimWorld): Promise<void> {
  return eventually(world, () => world.open("m").map((what) => `${what} (after its end)`));
}

/** Lets virtual time pass until nothing is left; the steps grow, for most of it takes no time. */
async function eventually(world: SimWorld, left: () => string[]): Promise<void> {
  const end = world.now + PATIENCE_MS;
  for (let step = 1; left().length > 0; step = Math.min(2 * step, 1000)) {
    if (world.now > end) throw new Error(`the test has left behind at the master: ${left().join(", ")}`);
    await new Promise<void>((resolve) => void world.host(KEEPER).timers.after(step, resolve));
  }
}
