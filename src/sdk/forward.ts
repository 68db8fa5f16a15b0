/**
 * Lesson 14: a local port whose connections end at a service, wherever that is.
 *
 *     program ─▶ 127.0.0.1:port ─▶ FORWARD ─▶ master ─▶ worker ─▶ service
 *
 * Connections end with the session that they go through. The port stays: the next connection dials
 * the master again, and waits for it as long as a restart may take.
 *
 * Invariants: not a byte of a local connection leaves before a replica has taken it, so one that
 * could not be delivered is reset and never half answered; one that stalls holds up no other; one
 * that its program gives up is given up everywhere.
 * Test: test/14-services.forward.test.ts
 */
import { durationText } from "#base";
import type { Redial, Session } from "#calls";
import type { Address, Host, Listener, Socket } from "#host";
import { RpcError, Windows, type IncomingRequest, type RpcConnection } from "#rpc";
import { Opener, splice, type End } from "#tunnel";
import { Forward, FORWARD_SPARE_BYTES, FORWARD_WINDOWS, MAX_FORWARDED, Op } from "#wire";
import { reconnect } from "./follow.ts";

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
/** The master waits half of this for a replica, and then says so, unless the session is dead. */
const SILENT_MS = 30_000;
/** A session that lives answers a question within this. */
const LOOK_MS = 5000;
/** A connection beyond the most waits so long for one of them to end: as long as for a replica. */
const PLACE_MS = 15_000;
/** So many wait. With those that are open that is 900 descriptors, and 1,024 are usual. */
const MAX_WAITING = 400;
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
  readonly #opener = new Opener(
    new Windows({ ...FORWARD_WINDOWS, spareBytes: FORWARD_SPARE_BYTES }),
  );
  readonly #sockets = new Set<Socket>();
  readonly #leaving = new AbortController();
  /** Connections that have a place, and those that wait for one: the first comes first. */
  #placed = 0;
  readonly #waiting = new Set<() => void>();
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
    await this.#look(connection);
    const at = { host: LOOPBACK, port };
    const { network } = this.#options.host;
    this.#listener = await network.listen(at, (socket) => void this.#accept(socket));
    return this;
  }

  /** Whether there is such a service, and anybody who says so. */
  async #look(connection: RpcConnection): Promise<void> {
    const body = Forward.encode({ service: this.#service, id: 0, bare: false });
    for await (const _ of connection.stream(Op.FORWARD, body, { deadlineMs: LOOK_MS }));
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
    this.#sockets.add(socket);
    const gone = new AbortController();
    const placed = this.#place(gone.signal);
    const why = await splice(socket, placed.then(() => this.#reach(gone.signal)));
    gone.abort();
    this.#sockets.delete(socket);
    await placed.then(() => this.#giveBack(), () => undefined);
    if (why !== undefined) this.#note(why.message);
  }

  /** @throws {RpcError} OVERLOADED: too many are open, and none has ended in time */
  async #place(gone: AbortSignal): Promise<void> {
    if (this.#placed < MAX_FORWARDED) return void (this.#placed += 1);
    if (this.#waiting.size >= MAX_WAITING) throw full();
    await new Promise<void>((resolve, reject) => {
      const over = (): void => {
        timer.cancel();
        this.#waiting.delete(take);
        gone.removeEventListener("abort", fail);
      };
      const take = (): void => (over(), resolve());
      const fail = (): void => (over(), reject(full()));
      const timer = this.#options.host.timers.after(PLACE_MS, fail);
      gone.addEventListener("abort", fail);
      this.#waiting.add(take);
    });
  }

  #giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#placed -= 1;
    else next();
  }

  // #region reach
  /** A session may break before a replica has taken the connection: then the next one is asked. */
  async #reach(gone: AbortSignal): Promise<End> {
    for (;;) {
      const { connection } = await this.#connected();
      gone.throwIfAborted();
      try {
        return await this.#ask(connection, gone);
      } catch (error) {
        const isWanted = !gone.aborted && !this.#leaving.signal.aborted;
        if (!connection.closed || !isWanted) throw error;
      }
    }
  }
  // #endregion

  async #ask(connection: RpcConnection, gone: AbortSignal): Promise<End> {
    let isLate = false;
    let cancel = (): void => undefined;
    const timer = this.#options.host.timers.after(SILENT_MS, () => {
      isLate = true;
      void this.#isAlive(connection).then((alive) => (alive ? cancel() : connection.destroy()));
    });
    try {
      return await this.#opener.open(connection, {
        opcode: Op.FORWARD,
        body: (id) => Forward.encode({ service: this.#service, id, bare: true }),
        onStream: (says) => {
          cancel = () => says.cancel();
          gone.addEventListener("abort", cancel, { once: true });
        },
      });
    } catch (error) {
      throw isLate && !connection.closed ? silent(this.#service) : error;
    } finally {
      timer.cancel();
      gone.removeEventListener("abort", cancel);
    }
  }

  /** Other connections go through this session: it is not dead because one waits too long. */
  async #isAlive(connection: RpcConnection): Promise<boolean> {
    const error = await this.#look(connection).catch((why: RpcError) => why);
    return error?.code !== "DEADLINE";
  }

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

function silent(service: string): RpcError {
  const found = `the master has not answered within ${durationText(SILENT_MS)}`;
  return new RpcError("DEADLINE", `Cannot forward to "${service}": ${found}`);
}

function full(): RpcError {
  const found = `this port has ${MAX_FORWARDED} connections, the most it may`;
  return new RpcError("OVERLOADED", `Cannot forward: ${found}`);
}
