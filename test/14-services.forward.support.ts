/**
 * For the tests of forwarded connections: a cluster in virtual time, whose services are programs
 * that listen, and programs that dial them through the master.
 */
import type { Listener, Socket } from "#host";
import type { Master } from "#master";
import type { Client } from "#sdk";
import type { Service } from "#wire";
import { job, pipeline, SimCluster, type FakeExecutor, type FakeJob } from "./11-worker.cluster.ts";
import { serviceSpec } from "./spec.support.ts";

type Forwarding = Awaited<ReturnType<Client["forward"]>>;

/** One end of a connection, as a program has it: what it hears, and how that ends. */
export class Party {
  readonly socket: Socket;
  heard: Buffer = Buffer.alloc(0);
  bytes = 0;
  /** It says no more. */
  ended = false;
  /** How it closed: in order, or the system's code. */
  closed: string | undefined;
  /** Keep what is heard. */
  keeps = true;
  onHeard: (party: Party) => void = () => undefined;
  onEnd: (party: Party) => void = ({ socket }) => socket.end();
  wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.handle({
      onData: (bytes) => {
        this.bytes += bytes.length;
        if (this.keeps) this.heard = Buffer.concat([this.heard, bytes]);
        this.onHeard(this);
      },
      onDrain: () => this.wake(),
      onEnd: () => {
        this.ended = true;
        this.onEnd(this);
      },
      onClose: (error) => {
        this.closed = error === undefined ? "in order" : (error as { code?: string }).code ?? "?";
        this.wake();
      },
    });
  }

  say(text: string | Buffer): boolean {
    return this.socket.write(Buffer.from(text));
  }

  get text(): string {
    return this.heard.toString();
  }
}

export class Room {
  readonly cluster = new SimCluster();
  master!: Master;
  client!: Client;
  /** What services have accepted, by the worker they run on; health checks are closed at once. */
  readonly accepted: Party[] = [];
  readonly notes: string[] = [];
  /** Bytes that a service has sent. */
  sent = 0;
  onAccept: (party: Party, fake: FakeJob) => void = () => undefined;
  readonly listeners = new Map<FakeJob, Listener>();

  async start(workers: readonly string[]): Promise<this> {
    this.master = await this.cluster.startMaster();
    for (const name of workers) {
      this.serve(name, this.cluster.startWorker(name, { slots: 20 }).executor);
    }
    this.client = await this.cluster.connect();
    return this;
  }

  /** Each program of this worker listens on the port that it is given. */
  serve(worker: string, executor: FakeExecutor): void {
    executor.script = (fake) => {
      const { network } = this.cluster.world.host(worker);
      const at = { host: "127.0.0.1", port: fake.request.port! };
      void network.listen(at, (socket) => {
        const party = new Party(socket);
        // A health check ends before it says a word, and is none of ours.
        this.accepted.push(party);
        this.onAccept(party, fake);
      }).then((listener) => {
        this.listeners.set(fake, listener);
        void fake.done.then(() => {
          void listener.close();
          for (const party of this.accepted) party.socket.reset();
        });
      });
    };
  }

  fakes(): FakeJob[] {
    return [...this.cluster.executors.values()].flatMap(({ jobs }) => jobs);
  }

  /** A service that is READY, deployed under its name. */
  async deploy(name = "web", replicas = 1, fields: Partial<Service> = {}): Promise<string> {
    const jobs = Array.from({ length: replicas }, (_, index) =>
      job(index === 0 ? name : `${name}.${index + 1}`, {
        service: serviceSpec(name, { deployed: true, intervalMs: 3_600_000, ...fields }),
      }));
    const { run } = await this.settle(this.client.submitSpec(pipeline(jobs)));
    await this.ready(name, replicas);
    return run;
  }

  async ready(name: string, replicas: number): Promise<void> {
    for (let tries = 0; tries < 500; tries++) {
      const rows = await this.settle(this.client.services());
      const ready = rows.filter((row) => row.name === name && row.service?.phase === "READY");
      if (ready.length === replicas) {
        await this.pass(100);
        this.accepted.length = 0; // the health checks
        return;
      }
      await this.pass(50);
    }
    throw new Error(`${name} is not READY`);
  }

  forward(name = "web"): Promise<Forwarding> {
    const onNote = (line: string): void => void this.notes.push(line);
    return this.settle(this.client.forward(name, { onNote }));
  }

  async dial({ port }: Forwarding): Promise<Party> {
    const dialled = this.cluster.world.host("c").network.dial({ host: "127.0.0.1", port });
    return this.settle(dialled.then((socket) => new Party(socket)));
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.cluster.world.settle(promise);
  }

  pass(ms: number): Promise<void> {
    return this.cluster.world.run(this.cluster.world.now + ms);
  }

  until(what: () => boolean): Promise<void> {
    return this.cluster.until(what);
  }
}

export const room = (...workers: string[]): Promise<Room> =>
  new Room().start(workers.length === 0 ? ["w1"] : workers);

/** Says all of it, at the pace of the other side, and then no more. */
export function say(party: Party, bytes: Buffer): void {
  let at = 0;
  party.onEnd = () => undefined;
  party.wake = () => {
    while (at < bytes.length) {
      const piece = bytes.subarray(at, (at += 50_000));
      if (!party.socket.write(piece)) return;
    }
    party.socket.end();
    party.wake = () => undefined;
  };
  party.wake();
}
