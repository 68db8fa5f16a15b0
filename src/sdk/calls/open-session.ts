/**
 * Lesson 10: chooses a master, and opens a session with it.
 *
 *     (nothing)                TITAN_MASTER, TITAN_TOKEN, else 127.0.0.1:9090 without a token
 *     "host:port"              that master; the token as above
 *     { master, token, … }     the given ones; the rest as above
 *
 * Invariant: a caller who brings a `host` of its own gets nothing from the environment, so that a
 * simulation is the same on every machine.
 * Test: test/sdk.test.ts
 */
import { hostPort } from "#base";
import { nodeHost, type Address, type Host } from "#host";
import { RpcConnection, RpcError } from "#rpc";
import {
  DEFAULT_PORT,
  Hello,
  isBlank,
  Op,
  PROTOCOL,
  readAddress,
  Welcome,
  whyUnreached,
} from "#wire";
import { checkAddress, checkMs, named } from "./options.ts";
import type { OnRequest, Redial, Session } from "./session.ts";

const HELLO_DEADLINE_MS = 5000;
/** A person waits. A master on the other side of the earth answers in a third of a second. */
const CONNECT_MS = 5000;
const DEFAULT_MASTER: Address = { host: "127.0.0.1", port: DEFAULT_PORT };

export interface ConnectOptions {
  /** `"host:port"`, or its parts. Default: TITAN_MASTER, else 127.0.0.1:9090. */
  readonly master?: string | Address | undefined;
  /** Default: TITAN_TOKEN, else none. */
  readonly token?: string | undefined;
  /** The caller's own version, for people who look at the master. */
  readonly version?: string;
  /** How long to try to reach the master. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** Clock, network and so on. Default: the real ones. */
  readonly host?: Host;
}

/** Nothing answers there, or it is not a master. `code`: the system's or an `RpcError`'s. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code: string;

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.code = (cause as { code?: string }).code ?? "";
  }
}

interface Target {
  readonly host: Host;
  readonly master: Address;
  readonly token: string | undefined;
  readonly version: string;
  readonly timeoutMs: number;
  /** The source of the address, when the caller did not give it. */
  readonly source: string;
}

/**
 * How to open sessions with one master.
 *
 * @throws {TypeError} the address cannot be read, or another option is of the wrong type
 */
export function readDial(options: string | ConnectOptions): { host: Host; redial: Redial } {
  const target = readTarget(typeof options === "string" ? { master: options } : asObject(options));
  return { host: target.host, redial: (onRequest) => openSession(target, onRequest) };
}

/** Without this check, a port alone would be an object without options: the default master. */
function asObject(options: unknown): ConnectOptions {
  if (typeof options !== "object" || options === null) {
    const expected = '"host:port" or an object with master, token, timeoutMs';
    throw new TypeError(`Cannot connect: expected ${expected}, found ${named(options)}`);
  }
  const { token } = options as { token?: unknown };
  if (token === undefined || typeof token === "string") return options;
  throw new TypeError(`Cannot connect: token must be a text, found ${named(token)}`);
}

function readTarget(options: ConnectOptions): Target {
  const setting = (name: string): string | undefined =>
    options.host === undefined ? process.env[name] || undefined : undefined;
  const { version = "", timeoutMs = CONNECT_MS, host = nodeHost() } = options;
  checkMs("Cannot connect: timeoutMs", timeoutMs);
  const token = options.token ?? setting("TITAN_TOKEN");
  if (isBlank(token)) throw new TypeError("Cannot connect: the token is blank");
  const rest = { host, token, version, timeoutMs };
  const { master } = options;
  if (master !== undefined) return { ...rest, master: addressOf(master, "master"), source: "" };
  const named = setting("TITAN_MASTER");
  const nothing = " (the default: TITAN_MASTER is not set)";
  if (named === undefined) return { ...rest, master: DEFAULT_MASTER, source: nothing };
  return { ...rest, master: addressOf(named, "TITAN_MASTER"), source: " (TITAN_MASTER)" };
}

function addressOf(master: string | Address, source: string): Address {
  if (typeof master !== "string") return checkAddress(master);
  const address = readAddress(master);
  if (typeof address !== "string") return address;
  throw new TypeError(`Cannot use ${source} "${master}": ${address}`);
}

/** A master at its limit refuses many at once: their next tries must come at different times. */
const AGAIN_MS = 100;

async function openSession(target: Target, onRequest?: OnRequest): Promise<Session> {
  const {
    host: { clock, random, timers },
    timeoutMs,
  } = target;
  const until = clock.monotonic() + timeoutMs;
  for (;;) {
    try {
      return await hello(target, onRequest);
    } catch (error) {
      const waitMs = AGAIN_MS * (1 + random.unit());
      // The master is there, and a place in it may be free in a moment.
      const isFull = error instanceof RpcError && error.code === "OVERLOADED";
      if (!isFull || clock.monotonic() + waitMs > until) throw unreached(target, error);
      await new Promise<void>((resolve) => void timers.after(waitMs, resolve));
    }
  }
}

/** The error of a session that could not be opened, in words. */
function unreached(target: Target, error: unknown): unknown {
  const why = whyUnreached(error);
  if (why === undefined) return error;
  const where = `${hostPort(target.master)}${target.source}`;
  return new ConnectError(`Cannot connect to the master at ${where}: ${why}`, error);
}

async function hello(
  { host, master, token, version, timeoutMs }: Target, onRequest?: OnRequest,
): Promise<Session> {
  const socket = await host.network.dial(master, { timeoutMs });
  const connection: RpcConnection = new RpcConnection(socket, {
    host, ...(onRequest && { onRequest: (request) => onRequest(request, connection) }),
  });
  try {
    // A client has no tags, slots or jobs.
    const worker = { instance: "", name: "", tags: [], slots: 1, running: [], knows: [] };
    const words = Hello.encode({ protocol: PROTOCOL, role: "client", token, version, ...worker });
    const answer = await connection.request(Op.HELLO, words, { deadlineMs: HELLO_DEADLINE_MS });
    const keepAlive = (on: boolean): void => socket.keepAlive?.(on);
    return { connection, version: Welcome.decode(answer).version, keepAlive };
  } catch (error) {
    connection.destroy();
    throw error;
  }
}
