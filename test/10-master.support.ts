/**
 * A master in a simulated machine room, and peers who speak the wire protocol by hand, for the
 * tests of chapter 10.
 */
import type { Host, StoredFile } from "#host";
import { startMaster, type Master, type MasterOptions } from "#master";
import { RpcConnection, RpcError } from "#rpc";
import { connect, type Client } from "#sdk";
import { SimWorld, type SimOptions } from "#simhost";
import { nothingIsLeft } from "./leaks.sim.support.ts";
import {
  Beat,
  Dispatch,
  Finished,
  Hello,
  KNOWLEDGE,
  Kill,
  Op,
  Output,
  PROTOCOL,
  Welcome,
  type Assignment,
  type AttemptKey,
  type JobSpec,
  type PipelineSpec,
  type Report,
} from "#wire";

export { spec } from "./spec.support.ts";

export const MASTER = { host: "m", port: 9090 };

export function pipeline(jobs: JobSpec[]): PipelineSpec {
  return { name: "test", version: undefined, project: undefined, jobs };
}

export function hello(fields: Partial<Hello> = {}): Buffer {
  return Hello.encode({
    protocol: PROTOCOL,
    role: "client",
    token: undefined,
    version: "",
    instance: "",
    name: "",
    tags: [],
    slots: 1,
    running: [],
    knows: [...KNOWLEDGE],
    ...fields,
  });
}

/**
 * A machine room with a master in it. Runs one scenario, in which `await` lets virtual time pass.
 */
export class Room {
  readonly world: SimWorld;
  /** What the masters of this room died of. */
  readonly fatal: Error[] = [];
  #clients = 0;
  #master: Master | undefined;
  #token: string | undefined;

  constructor(options: SimOptions) {
    this.world = new SimWorld(options);
  }

  static run(
    scenario: (room: Room) => Promise<void>,
    options: Partial<SimOptions> = {},
  ): Promise<void> {
    const room = new Room({ seed: 1, ...options });
    return room.world.settle(scenario(room).then(() => room.#end()));
  }

  /**
   * A master that died of something holds what it held: its process ends, and with it all of that.
   */
  async #end(): Promise<void> {
    if (this.fatal.length > 0) return;
    await nothingIsLeft({
      world: this.world,
      master: this.#master,
      address: MASTER,
      token: this.#token,
    });
  }

  async start(options: Partial<MasterOptions> = {}): Promise<Master> {
    const onFatal = (error: Error): void => void this.fatal.push(error);
    const { token } = options;
    const listen = { host: "127.0.0.1", port: MASTER.port };
    const host = this.world.host("m");
    this.#token = token;
    this.#master = await startMaster({ host, dir: "/state", listen, onFatal, ...options });
    return this.#master;
  }

  /** Power off and on again, with whatever the disk kept. */
  async restart(options: Partial<MasterOptions> = {}): Promise<Master> {
    this.world.crash("m", { torn: true });
    return this.start(options);
  }

  client(token?: string): Promise<Client> {
    return connect({ host: this.world.host(`c${this.#clients++}`), master: MASTER, token });
  }

  /** A connection that has said nothing yet. */
  async raw(
    options: {
      name?: string;
      onNotify?: (opcode: number, body: Buffer) => void;
      onClose?: (error?: Error) => void;
    } = {},
  ): Promise<RpcConnection> {
    const host = this.world.host(options.name ?? `c${this.#clients++}`);
    const { onNotify, onClose } = options;
    return new RpcConnection(await host.network.dial(MASTER), {
      host,
      ...(onNotify && { onNotify }),
      ...(onClose && { onClose }),
    });
  }

  worker(name: string, options: WorkerScript = {}): Promise<ScriptedWorker> {
    return ScriptedWorker.join(this, name, options);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("driver").timers.after(ms, resolve));
  }

  async until(what: () => unknown, limitMs = 30_000): Promise<void> {
    const end = this.world.now + limitMs;
    while (!what()) {
      if (this.world.now > end) {
        throw new Error(`still not true after ${limitMs} ms of virtual time: ${what}`);
      }
      await this.sleep(1);
    }
  }

  async statuses(client: Client, run: string): Promise<Record<string, string>> {
    return Object.fromEntries((await client.status(run)).jobs.map((job) => [job.id, job.status]));
  }
}

export interface WorkerScript {
  readonly slots?: number;
  readonly tags?: string[];
  readonly instance?: string;
  readonly running?: AttemptKey[];
  /** Default: all that this version knows. */
  readonly knows?: string[];
  readonly version?: string;
  readonly token?: string | undefined;
  /** Which connection of its process this is. */
  readonly dial?: number;
  /** Says every second that it is alive. Default true. */
  readonly beats?: boolean;
  /** Reports success for whatever it is given, at once. */
  readonly works?: boolean;
}

export class ScriptedWorker {
  readonly room: Room;
  readonly name: string;
  readonly assigned: Assignment[] = [];
  readonly killed: AttemptKey[] = [];
  /** Numbers of jobs in the order of the frames: `+3` was dispatched, `-3` is to be killed. */
  readonly heard: string[] = [];
  /** Attempts whose report the master has confirmed. */
  readonly confirmed: AttemptKey[] = [];
  closed = false;
  connection!: RpcConnection;
  welcome!: Welcome;

  private constructor(room: Room, name: string) {
    this.room = room;
    this.name = name;
  }

  static async join(room: Room, name: string, script: WorkerScript): Promise<ScriptedWorker> {
    const {
      slots = 1,
      tags = [],
      instance = name,
      running = [],
      knows = [...KNOWLEDGE],
      version = "",
      dial,
      token,
      beats = true,
      works = false,
    } = script;
    const worker = new ScriptedWorker(room, name);
    worker.connection = await room.raw({
      name,
      onNotify: (opcode, body) => {
        if (opcode === Op.KILL) {
          const { items } = Kill.decode(body);
          worker.killed.push(...items);
          worker.heard.push(...items.map(({ job }) => `-${job}`));
        }
        if (opcode !== Op.DISPATCH) return;
        const { items } = Dispatch.decode(Buffer.from(body));
        worker.assigned.push(...items);
        worker.heard.push(...items.map(({ job }) => `+${job}`));
        if (works) void worker.finish(...items.map((item) => report(item))).catch(() => undefined);
      },
      onClose: () => { worker.closed = true; },
    });
    worker.welcome = Welcome.decode(
      await worker.connection.request(
        Op.HELLO,
        hello({
          role: "worker", name, slots, tags, instance, running, dial, knows, version, token,
        }),
      ),
    );
    if (beats) worker.#beat();
    return worker;
  }

  #beat(): void {
    this.room.world.host(this.name).timers.after(1000, () => {
      if (this.closed) return;
      this.connection.request(Op.BEAT, Beat.encode({ runs: [] })).catch(() => undefined);
      this.#beat();
    });
  }

  /** The jobs that it was given, by name and attempt. */
  get jobs(): string[] {
    return this.assigned.map(({ jobId, attempt }) => `${jobId}#${attempt}`);
  }

  async finish(...items: Report[]): Promise<void> {
    await this.connection.request(Op.FINISHED, Finished.encode({ items }));
    this.confirmed.push(...items);
  }

  async print(key: AttemptKey, text: string): Promise<void> {
    await this.connection.request(
      Op.OUTPUT,
      Output.encode({
        ...keyOf(key),
        chunks: [{ stream: "stdout", at: 1, data: Buffer.from(text) }],
      }),
    );
  }
}

export function keyOf({ run, job, attempt }: AttemptKey): AttemptKey {
  return { run, job, attempt };
}

export function report(key: AttemptKey, fields: Partial<Report> = {}): Report {
  return { ...keyOf(key), failure: undefined, result: undefined, durationMs: 1, ...fields };
}

export function refusal(code: string, message = /./) {
  return (error: unknown): boolean => {
    if (!(error instanceof RpcError)) throw error;
    if (error.code !== code || !message.test(error.message)) {
      throw new Error(`expected ${code} ${message}, got ${error.code}: ${error.message}`);
    }
    return true;
  };
}

/** A host whose files pass through `wrap`, for disks that fail. */
export function withFiles(host: Host, wrap: (path: string, file: StoredFile) => StoredFile): Host {
  return {
    ...host,
    storage: {
      ...methodsOf(host.storage),
      open: async (path, options) => wrap(path, await host.storage.open(path, options)),
    },
  };
}

/** The same file with some methods replaced. `size` stays live. */
export function fileWith(file: StoredFile, changed: Partial<StoredFile>): StoredFile {
  return new Proxy(file, {
    get(target, name) {
      const value: unknown = Reflect.get(changed, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function methodsOf<T extends object>(object: T): T {
  return new Proxy({} as T, {
    ownKeys: () => [
      "open",
      "readFile",
      "writeFile",
      "rename",
      "remove",
      "mkdir",
      "list",
      "stat",
      "syncDirectory",
      "lock",
    ],
    getOwnPropertyDescriptor: (_, name) => ({
      configurable: true,
      enumerable: true,
      value: (Reflect.get(object, name) as () => void).bind(object),
    }),
    get: (_, name) => (Reflect.get(object, name) as () => void).bind(object),
  });
}

export function diskBroken(): Error {
  return Object.assign(new Error("EIO: i/o error, write"), { code: "EIO", syscall: "write" });
}

export function diskFull(what = "write"): Error {
  return Object.assign(new Error(`ENOSPC: no space left on device, ${what}`), { code: "ENOSPC" });
}

/** What the master's disk holds in a folder. */
export async function usedBytes(room: Room, folder: string): Promise<number> {
  const disk = room.world.disk("m");
  let bytes = 0;
  for (const name of disk.list(folder)) {
    bytes += disk.read(`${folder}/${name}`)?.length ?? (await usedBytes(room, `${folder}/${name}`));
  }
  return bytes;
}
