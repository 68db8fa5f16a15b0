/**
 * Lesson 22: faults: each happens at its time, and ends at its time.
 *
 * Test: test/22-simulation.test.ts
 */
import type { Cluster } from "./cluster.ts";
import type { Fault, Plan } from "./plan.ts";
import { MASTER, STATE_DIR, type Stage } from "./stage.ts";

export class Faults {
  readonly #stage: Stage;
  readonly #cluster: Cluster;

  constructor(stage: Stage, cluster: Cluster) {
    this.#stage = stage;
    this.#cluster = cluster;
  }

  begin(fault: Fault): void {
    const { kind, target } = fault;
    const there = (name: string): boolean =>
      exists(this.#stage.plan, name) || this.#cluster.hired.has(name);
    if (this.#stage.healing || !there(target) || ("peer" in fault && !there(fault.peer))) return;
    if (!this.#happens(fault)) return;
    this.#stage.note(`FAULT ${faultText(fault)}`);
    this.#stage.faults[kind] = (this.#stage.faults[kind] ?? 0) + 1;
  }

  /** False: the fault could not happen now. */
  #happens(fault: Fault): boolean {
    const { world } = this.#stage;
    const { target } = fault;
    switch (fault.kind) {
      case "kill":
      case "crash":
      case "stop": return this.#cluster.down(target, fault.kind, fault);
      case "second-master": this.#cluster.secondMaster(); return true;
      case "pause": return this.#pause(target, fault.forMs);
      case "cut": world.cut(target, fault.peer); return true;
      case "reset": world.link(target, fault.peer).reset(); return true;
      case "partition": return this.#partition(fault);
      case "stall":
      case "one-byte":
      case "slow-link": return this.#onLink(fault);
      case "slow-disk":
      case "disk-error":
      case "disk-full": return this.#onDisk(fault);
      case "drift":
        world.clock(target).drift(fault.rate);
        this.#later(fault.forMs, () => world.clock(target).drift(1));
        return true;
      case "jump": world.clock(target).jumpWall(fault.ms); return true;
    }
  }

  /** Ends a fault at its time, unless everything was mended before. */
  #later(ms: number, fn: () => void): void {
    this.#stage.after(ms, () => { if (!this.#stage.healing) fn(); });
  }

  // #region pause
  #pause(name: string, forMs: number): boolean {
    if (!this.#cluster.isUp(name)) return false;
    const { world } = this.#stage;
    const life = this.#cluster.lifeOf(name);
    world.pause(name);
    this.#later(forMs, () => {
      // The process was killed meanwhile, and the new one is not asleep.
      if (this.#cluster.lifeOf(name) !== life) return;
      this.#stage.note(`${name} wakes up`);
      world.resume(name);
    });
    return true;
  }
  // #endregion

  #partition(fault: Fault & { kind: "partition" }): boolean {
    const { world } = this.#stage;
    const { target, peer, way } = fault;
    const ways = [
      ...(way === "from" ? [] : [[target, peer] as const]),
      ...(way === "to" ? [] : [[peer, target] as const]),
    ];
    for (const [from, to] of ways) world.hold(from, to);
    this.#later(fault.forMs, () => { for (const [from, to] of ways) world.release(from, to); });
    return true;
  }

  #onLink(fault: Fault & { kind: "stall" | "one-byte" | "slow-link" }): boolean {
    const link = this.#stage.world.link(fault.target, fault.peer);
    if (fault.kind === "stall") link.stall({ chance: fault.chance, ms: fault.ms });
    else if (fault.kind === "one-byte") link.oneByte(true);
    else link.latency(fault.ms);
    this.#later(fault.forMs, () => {
      if (fault.kind === "stall") link.stall({ chance: 0, ms: [0, 0] });
      else if (fault.kind === "one-byte") link.oneByte(false);
      else link.latency(this.#stage.plan.latencyMs);
    });
    return true;
  }

  #onDisk(fault: Fault & { kind: "slow-disk" | "disk-error" | "disk-full" }): boolean {
    const disk = this.#stage.world.disk(fault.target);
    if (fault.kind === "disk-error") {
      disk.fail(fault.op, { code: fault.code, times: 1, path: fault.path });
      return true;
    }
    if (fault.kind === "slow-disk") {
      disk.slowSync(fault.ms);
      this.#later(fault.forMs, () => disk.slowSync(undefined));
      return true;
    }
    disk.limitBytes(usedBytes(disk, STATE_DIR) + fault.bytes);
    this.#later(fault.forMs, () => disk.limitBytes(undefined));
    return true;
  }

  /** Everything is mended: clocks, disks and lines, and stopped processes go on. */
  heal(): void {
    const { world, plan } = this.#stage;
    const others = [
      ...plan.workers.map(({ name }) => name),
      ...this.#cluster.hired,
      ...Array.from({ length: plan.clients }, (_, index) => `c${index + 1}`),
    ];
    for (const name of [MASTER.host, ...others]) {
      world.resume(name);
      world.clock(name).drift(1);
    }
    const disk = world.disk(MASTER.host);
    disk.limitBytes(undefined);
    disk.slowSync(undefined);
    disk.heal();
    for (const name of others) {
      world.release(MASTER.host, name);
      world.release(name, MASTER.host);
      const link = world.link(MASTER.host, name);
      link.stall({ chance: 0, ms: [0, 0] });
      link.oneByte(false);
      link.latency(plan.latencyMs);
    }
  }
}

/** Size of all files below a folder. */
function usedBytes(disk: ReturnType<Stage["world"]["disk"]>, folder: string): number {
  let bytes = 0;
  for (const name of disk.list(folder)) {
    bytes += disk.read(`${folder}/${name}`)?.length ?? usedBytes(disk, `${folder}/${name}`);
  }
  return bytes;
}

function exists(plan: Plan, name: string): boolean {
  return (
    name === MASTER.host ||
    plan.workers.some((worker) => worker.name === name) ||
    (/^c\d+$/.test(name) && Number(name.slice(1)) <= plan.clients)
  );
}

const span = ([least, most]: readonly [number, number]): string => `${least} to ${most} ms`;

/** One line for a person: "kill m, up again after 300 ms". */
export function faultText(fault: Fault): string {
  const { target } = fault;
  switch (fault.kind) {
    case "kill": return `kill ${target}, down for ${fault.downMs} ms`;
    case "crash": {
      const how = [
        fault.torn && "torn writes",
        fault.garbage && "garbage",
        fault.silent && "peers not told",
      ]
        .filter(Boolean)
        .join(", ");
      return `power cut of ${target}${how === "" ? "" : ` (${how})`}, down for ${fault.downMs} ms`;
    }
    case "stop": return `stop ${target} in order, down for ${fault.downMs} ms`;
    case "pause": return `pause ${target} for ${fault.forMs} ms`;
    case "cut": return `cut ${target} x ${fault.peer}`;
    case "reset": return `reset ${target} x ${fault.peer} in mid-frame`;
    case "partition": {
      const sign = fault.way === "both" ? "|" : fault.way === "to" ? "-|>" : "<|-";
      return `partition ${target} ${sign} ${fault.peer} for ${fault.forMs} ms`;
    }
    case "stall":
      return (
        `stall ${Math.round(100 * fault.chance)} % of what goes between ${target} and ` +
        `${fault.peer} by ${span(fault.ms)}, for ${fault.forMs} ms`
      );
    case "one-byte":
      return `single bytes between ${target} and ${fault.peer} for ${fault.forMs} ms`;
    case "slow-link":
      return `latency between ${target} and ${fault.peer} ${span(fault.ms)}, for ${fault.forMs} ms`;
    case "slow-disk": return `syncs of ${target} take ${span(fault.ms)}, for ${fault.forMs} ms`;
    case "disk-error":
      return `next ${fault.op} of ${fault.path} on ${target} fails with ${fault.code}`;
    case "disk-full":
      return `disk of ${target} is full after ${fault.bytes} more bytes, for ${fault.forMs} ms`;
    case "drift": return `clock of ${target} runs at ${fault.rate}, for ${fault.forMs} ms`;
    case "jump": return `wall clock of ${target} jumps by ${fault.ms} ms`;
    case "second-master": return `a second master is started on ${target}`;
  }
}
