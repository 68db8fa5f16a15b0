/**
 * What the tests of the log share: machines of a simulated world, whose disks lose at a power cut
 * what they may lose. A test that is `inWorld` waits in virtual time.
 */
import assert from "node:assert/strict";
import type { Host } from "#host";
import { type Leftover, SimWorld } from "#simhost";

/** The world of the test that runs, and the machines in it. */
let world: SimWorld;
let machines: Map<string, Machine>;

/** A test that lets the time of a world of its own pass whenever it waits. */
export function inWorld(body: () => Promise<void>): () => Promise<void> {
  return () => {
    const all = (machines = new Map());
    world = new SimWorld({ seed: 5, trace: "hash" });
    world.onDisk((name, operation, path) => all.get(name)!.before(operation, path));
    world.onSync((name, path) => void (path.endsWith("/") || all.get(name)!.syncs++));
    return world.settle(body());
  };
}

/** Lets milliseconds pass: a hundred are enough for dozens of syncs. */
export function pass(ms = 100): Promise<void> {
  return new Promise((done) => void world.host("the test").timers.after(ms, done));
}

/** No test reads more often; a log that waits for bytes that it has read would do so for ever. */
const MOST_READS = 2000;

/** A machine with a disk and nothing else, as the host that runs on it now. */
export class Machine implements Host {
  readonly #world = world;
  readonly name = `m${machines.size + 1}`;
  readonly disk = this.#world.disk(this.name);
  /** What the log armed its timers for, in milliseconds. */
  readonly pauses: number[] = [];
  /** Operations so far that may have changed something. */
  changes = 0;
  /** Syncs of files that were done. */
  syncs = 0;
  reads = 0;
  /** The change with this number does not happen, because the power goes. */
  crashAt = Number.POSITIVE_INFINITY;
  leftover: Leftover = "nothing";
  /** Called just before that. */
  onCrash: () => void = () => {};
  /** Called before each operation. */
  onOperation: (operation: string, path: string) => void = () => {};

  constructor() {
    machines.set(this.name, this);
  }

  get clock(): Host["clock"] {
    return this.#world.host(this.name).clock;
  }

  get random(): Host["random"] {
    return this.#world.host(this.name).random;
  }

  get network(): Host["network"] {
    return this.#world.host(this.name).network;
  }

  get storage(): Host["storage"] {
    return this.#world.host(this.name).storage;
  }

  get timers(): Host["timers"] {
    const { after, soon } = this.#world.host(this.name).timers;
    const noted: typeof after = (ms, fn) => {
      this.pauses.push(ms);
      return after(ms, fn);
    };
    return { after: noted, soon };
  }

  /** Turns the machine off. */
  crash(leftover: Leftover = "nothing"): void {
    this.crashAt = Number.POSITIVE_INFINITY;
    this.#world.crash(this.name, { leftover });
  }

  /** What this life is asked for; rejects when the power goes. */
  whileUp<T>(work: Promise<T>): Promise<T> {
    return this.#world.whileUp(this.name, work);
  }

  /** Another machine with a copy of this one's disk, all of it durable, and then edited. */
  copy(edit: (copy: Machine) => void = () => {}): Machine {
    const copy = this.afterCrash("everything");
    edit(copy);
    return copy;
  }

  /** Another machine with the disk that would be left if the power went now. */
  afterCrash(leftover: Leftover): Machine {
    const copy = new Machine();
    this.#world.copyDisk(this.name, copy.name, leftover);
    return copy;
  }

  peek(path: string): Buffer {
    const bytes = this.disk.read(path);
    assert.ok(bytes !== undefined, `there is no file ${path}`);
    return bytes;
  }

  /** Paths in a folder. */
  paths(dir: string): string[] {
    return this.disk.list(dir).map((name) => `${dir}/${name}`);
  }

  /** Paths of the files that are open, once for each handle. */
  get openFiles(): string[] {
    return this.#world.open(this.name).flatMap((line) => /^file (.*)/.exec(line)?.[1] ?? []);
  }

  /** How many timers are armed. */
  get armed(): number {
    return this.#world.open(this.name).filter((line) => line.startsWith("timer ")).length;
  }

  /** Called for the world: before an operation. */
  before(operation: string, path: string): void {
    this.onOperation(operation, path);
    if (operation === "read" && ++this.reads > MOST_READS) {
      throw new Error(`${path} is read without end: ${MOST_READS} times`);
    }
    const isNew = (): boolean => this.disk.read(path) === undefined;
    if (operation === "read" || (operation === "open" && !isNew())) return;
    if (++this.changes !== this.crashAt) return;
    this.onCrash();
    this.crash(this.leftover);
  }
}
