/**
 * A network of named hosts: who listens, who is connected, and what may not pass.
 *
 * The promises of TCP hold: order, no gaps, no duplicates. The seed decides the rest: where chunks
 * are cut and how long they take.
 *
 * Test: test/22-simulation.world.test.ts
 */
import type { Address, Listener, Network, Socket } from "#host";
import { systemError } from "./disk.ts";
import { Link } from "./link.ts";
import type { Boot } from "./machine.ts";
import { Connection } from "./socket.ts";
import type { World } from "./types.ts";

/** The same as the real dial, in virtual time. */
const DIAL_TIMEOUT_MS = 10_000;

const FIRST_PORT = 40_000;

/** Names by which every host calls itself. */
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

interface Bound {
  readonly boot: Boot;
  readonly accept: (socket: Socket) => void;
}

export class SimNetwork {
  readonly #world: World;
  readonly #listeners = new Map<string, Bound>();
  /**
   * In the order of connecting: the order in which peers are told of a crash must not depend on
   * chance that nobody seeded.
   */
  readonly #connections = new Set<Connection>();
  readonly #held = new Set<string>();
  readonly #links = new Map<string, Link>();
  #lastPort = FIRST_PORT;
  /** The most bytes that one end of a connection ever had under way. */
  mostWaitingBytes = 0;

  constructor(world: World) {
    this.#world = world;
  }

  of(boot: Boot): Network {
    return {
      listen: (at, accept) => this.#listen(boot, { at, accept }),
      dial: (to, options) => this.#dial(boot, to, options?.timeoutMs ?? DIAL_TIMEOUT_MS),
    };
  }

  /** Power off. Peers are told at once, or not at all; a real network would tell them late. */
  crash(boot: Boot, options: { silent: boolean }): void {
    this.#unlisten(boot);
    for (const connection of [...this.#connections]) {
      const ends = connection.endsOf(boot);
      if (options.silent) for (const end of ends) end.lose();
      else if (ends.length > 0) connection.break("ECONNRESET");
    }
  }

  /** The process ended, and the kernel closes all that it had open. */
  kill(boot: Boot): void {
    this.#unlisten(boot);
    for (const connection of [...this.#connections]) {
      for (const end of connection.endsOf(boot)) end.kill();
    }
  }

  /** A resumed process reads the bytes that wait in its kernel. */
  wake(boot: Boot): void {
    for (const connection of [...this.#connections]) {
      if (connection.endsOf(boot).length > 0) connection.pump(boot.name);
    }
  }

  cut(a: string, b: string): void {
    for (const connection of [...this.#connections]) {
      if (connection.joins(a, b)) connection.break("ECONNRESET");
    }
  }

  hold(from: string, to: string): void {
    this.#held.add(`${from} ${to}`);
  }

  release(from: string, to: string): void {
    this.#held.delete(`${from} ${to}`);
    for (const connection of [...this.#connections]) connection.pump(to, from);
  }

  isHeld(from: string, to: string): boolean {
    return this.#held.has(`${from} ${to}`);
  }

  /** The way between two hosts, for connections that are there and for those to come. */
  link(a: string, b: string): Link {
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      this.#links.set(key, (link = new Link(this.#world, () => this.#reset(a, b))));
    }
    return link;
  }

  /** Called with what one end of a connection has under way: kernels' buffers and its own. */
  waiting(bytes: number): void {
    if (bytes > this.mostWaitingBytes) this.mostWaitingBytes = bytes;
  }

  forget(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Ports and connections of a process, in words. */
  open(boot: Boot): string[] {
    const ports = [...this.#listeners].flatMap(([key, bound]) =>
      bound.boot === boot ? [`port ${key}`] : [],
    );
    const ends = [...this.#connections].flatMap((connection) => connection.endsOf(boot));
    return [
      ...ports,
      ...ends.filter(({ gone }) => !gone).map(({ remote }) => `connection ${remote}`),
    ];
  }

  async #listen(
    boot: Boot,
    options: { at: Address; accept: (socket: Socket) => void },
  ): Promise<Listener> {
    const port = options.at.port === 0 ? ++this.#lastPort : options.at.port;
    const key = `${boot.name}:${port}`;
    if (this.#listeners.has(key)) throw systemError("EADDRINUSE", `listen ${key}`);
    const bound: Bound = { boot, accept: options.accept };
    this.#listeners.set(key, bound);
    const close = async (): Promise<void> => {
      if (this.#listeners.get(key) === bound) this.#listeners.delete(key);
    };
    return { host: boot.name, port, close };
  }

  #reset(a: string, b: string): void {
    this.#world.note(`${a} ! ${b}`);
    for (const connection of [...this.#connections]) if (connection.joins(a, b)) connection.reset();
  }

  #unlisten(boot: Boot): void {
    for (const [key, bound] of this.#listeners) {
      if (bound.boot === boot) this.#listeners.delete(key);
    }
  }

  #dial(boot: Boot, to: Address, timeoutMs: number): Promise<Socket> {
    const host = LOOPBACK.has(to.host) ? boot.name : to.host;
    const link = this.link(boot.name, host);
    return new Promise((resolve, reject) => {
      let settled = false;
      const timer = this.#world.timer(boot, timeoutMs, () => {
        if (settled) return;
        settled = true;
        reject(systemError("ETIMEDOUT", `dial ${to.host}:${to.port}`));
      });
      const arrive = (): void => {
        if (settled || boot.dead) return;
        // The way there or the way back is silent: the dialler learns nothing, and tries until its
        // time is up.
        if (
          this.isHeld(boot.name, host) ||
          this.isHeld(host, boot.name) ||
          this.#world.isSilent(host)
        ) {
          this.#world.at(link.latencyRange[1] + 1, arrive);
          return;
        }
        settled = true;
        timer.cancel();
        const bound = this.#listeners.get(`${host}:${to.port}`);
        // Kernels shake hands for processes that are stopped.
        const socket =
          bound === undefined ? undefined : this.#connect(boot, { bound, port: to.port });
        boot.machine.enter(boot, () => {
          if (socket === undefined) {
            reject(systemError("ECONNREFUSED", `dial ${to.host}:${to.port}`));
          } else resolve(socket);
        });
      };
      this.#world.at(link.delay(), arrive);
    });
  }

  #connect(dialler: Boot, target: { bound: Bound; port: number }): Socket {
    const connection = new Connection(this.#world, this, {
      dialler: { boot: dialler, port: ++this.#lastPort },
      listener: { boot: target.bound.boot, port: target.port },
      link: this.link(dialler.name, target.bound.boot.name),
    });
    this.#connections.add(connection);
    this.#world.note(`${dialler.name} dials ${target.bound.boot.name}:${target.port}`);
    const { boot, accept } = target.bound;
    boot.machine.enter(boot, () => accept(connection.listenerEnd));
    return connection.diallerEnd;
  }
}
