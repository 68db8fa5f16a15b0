/**
 * Lesson 14: a local port whose connections end at a service, wherever that is.
 *
 *     program ─▶ 127.0.0.1:port ─▶ FORWARD ─▶ master ─▶ worker ─▶ service
 *
 * Connections end with the session that they go through. The port stays: the next connection dials
 * the master again, and waits for it as long as a restart may take.
 *
 * Invariants: a local connection is read only when a replica has taken it, so one that could not be
 * delivered is reset and never half answered; one that stalls holds up no other.
 * Test: test/14-services.forward.test.ts
 */
import type { Address, Host, Listener, Socket } from "#host";
import { RpcError, type IncomingRequest, type RpcConnection } from "#rpc";
import { Opener, splice, type End } from "#tunnel";
import { Forward, MAX_FORWARDED, Op } from "#wire";
import { reconnect } from "./follow.ts";
import type { Redial, Session } from "./session.ts";

export interface ForwardOptions {
  /** Of 127.0.0.1. Default: any free one. */
  readonly port?: number | undefined;
  /** A line for a person: why a connection was closed, or that the master is away. */
  readonly onNote?: (line: string) => void;
}

export interface Forwarding extends Address {
  /** Connections that are open, or being opened. */
  readonly open: number;
  /** Closes the port, and resets its connections. */
  close(): Promise<void>;
}

interface Options extends ForwardOptions {
  readonly host: Host;
  readonly redial: Redial;
}

const LOOPBACK = "127.0.0.1";
/**
 * A new connection without an answer for so long: the master waits half of it for a replica, and
 * has then said so, unless the session is dead.
 */
const SILENT_MS = 30_000;
/** Of one thing that happens to many connections a person is told once in this time. */
const SAME_NOTE_MS = 1000;

/** Opens the port. See `Client.forward`. */
export async function openForwarding(service: string, options: Options): Promise<Forwarding> {
  const forwarder = new Forwarder(service, options);
  try {
    return await forwarder.start(options.port ?? 0);
  } catch (error) {
    await forwarder.close();
    throw error;
  }
}

class Forwarder implements Forwarding {
  readonly #service: string;
  readonly #options: Options;
  readonly #opener = new Opener();
  readonly #sockets = new Set<Socket>();
  readonly #leaving = new AbortController();
  #listener: Listener | undefined;
  #session: Session | undefined;
  /** Set while a new session is being opened, for all that wait for it. */
  #opening: Promise<Session> | undefined;
  #noted = { line: "", at: -Infinity };

  constructor(service: string, options: Options) {
    this.#service = service;
    this.#options = options;
  }

  get host(): string {
    return LOOPBACK;
  }

  get port(): number {
    return this.#listener!.port;
  }

  get open(): number {
    return this.#sockets.size;
  }

  async start(port: number): Promise<Forwarding> {
    const { connection } = (this.#session = await this.#dial());
    const look = Forward.encode({ service: this.#service, id: 0 });
    for await (const _ of connection.stream(Op.FORWARD, look));
    const at = { host: LOOPBACK, port };
    const { network } = this.#options.host;
    this.#listener = await network.listen(at, (socket) => void this.#accept(socket));
    return this;
  }

  #dial(): Promise<Session> {
    return this.#options.redial((request, from) => this.#asked(request, from));
  }

  #asked(request: IncomingRequest, from: RpcConnection): void {
    if (request.opcode === Op.PULL) return this.#opener.pulled(request, from);
    const why = `Cannot serve opcode ${request.opcode}: this client does not know it`;
    request.fail("UNSUPPORTED", why);
  }

  async #accept(socket: Socket): Promise<void> {
    const isFull = this.#sockets.size >= MAX_FORWARDED;
    this.#sockets.add(socket);
    const why = await splice(socket, isFull ? Promise.reject(full()) : this.#reach());
    this.#sockets.delete(socket);
    if (why !== undefined) this.#note(why.message);
  }

  // #region reach
  /** A session may break before a replica has taken the connection: then the next one is asked. */
  async #reach(): Promise<End> {
    for (;;) {
      const { connection } = await this.#connected();
      const { timers } = this.#options.host;
      const timer = timers.after(SILENT_MS, () => connection.destroy());
      try {
        return await this.#opener.open(connection, {
          opcode: Op.FORWARD, body: (id) => Forward.encode({ service: this.#service, id }),
        });
      } catch (error) {
        if (!connection.closed || this.#leaving.signal.aborted) throw error;
      } finally {
        timer.cancel();
      }
    }
  }
  // #endregion

  async #connected(): Promise<Session> {
    if (this.#session?.connection.closed === false) return this.#session;
    this.#opening ??= this.#redial().finally(() => { this.#opening = undefined; });
    return this.#opening;
  }

  async #redial(): Promise<Session> {
    const { host } = this.#options;
    const { signal } = this.#leaving;
    const session = await reconnect({ host, signal, redial: () => this.#dial() });
    if (signal.aborted) session.connection.close();
    return (this.#session = session);
  }

  #note(line: string): void {
    if (this.#leaving.signal.aborted) return;
    const now = this.#options.host.clock.monotonic();
    if (line === this.#noted.line && now < this.#noted.at + SAME_NOTE_MS) return;
    this.#noted = { line, at: now };
    this.#options.onNote?.(line);
  }

  async close(): Promise<void> {
    this.#leaving.abort(new RpcError("CANCELLED", "Cannot forward: the port was closed"));
    await this.#listener?.close();
    for (const socket of [...this.#sockets]) socket.reset();
    this.#session?.connection.close();
  }
}

function full(): RpcError {
  const found = `this port has ${MAX_FORWARDED} connections, the most it may`;
  return new RpcError("OVERLOADED", `Cannot forward: ${found}`);
}
