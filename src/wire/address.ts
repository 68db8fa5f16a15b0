/**
 * Lesson 10: the address of a master as people write it, and the words for an error on the way
 * there.
 *
 * Errors are known by name and code, not by class, so that a caller need not load the network.
 *
 * Test: test/sdk.test.ts
 */
import { hostPort, type HostPort } from "#base";
import { DEFAULT_PORT } from "./limits.ts";

/** People who work alone work on their own machine. */
const LOOPBACK = "127.0.0.1";

/** The system's codes for a peer that does not answer. */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EADDRNOTAVAIL",
]);
/** Codes that a client gives to the answers of a program that is not a Titan master. */
const FOREIGN_CODES: ReadonlySet<string> = new Set(["BAD_FRAME", "TOO_LARGE"]);

/**
 * Reads `host:port`, `[::1]:9090`, `host`, `:9090` or `9090`. A string names the problem.
 *
 * @example
 * ```ts
 * import { readAddress } from "#wire";
 * readAddress("[::1]") // => { host: '::1', port: 9090 }
 * readAddress("h:70000") // => 'port 70000 is not between 1 and 65535'
 * ```
 */
export function readAddress(text: string): HostPort | string {
  const bracketed = /^\[([0-9a-fA-F:.%]+)\](?::(\d+))?$/.exec(text);
  const found = bracketed ?? /^([^:[\]\s/@]*)(?::(\d+))?$/.exec(text);
  if (found === null) return "expected HOST:PORT";
  const onlyPort = bracketed === null && found[2] === undefined && /^\d+$/.test(found[1]!);
  const [host = "", port] = onlyPort ? ["", found[1]] : found.slice(1);
  const value = port === undefined ? DEFAULT_PORT : Number(port);
  if (value < 1 || value > 65_535) return `port ${port} is not between 1 and 65535`;
  return { host: host === "" ? LOOPBACK : host, port: value };
}

/** A store's address as a URL, with its password if there is one. */
export function storeUrl(at: HostPort, password?: string): string {
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
  return `redis://${secret}${hostPort(at)}`;
}

/** Whether the connection failed: the same request may work on the next one. */
export function isConnectionError(error: unknown): boolean {
  const { name, code = "" } = (error ?? {}) as { name?: string; code?: string };
  if (name === "ConnectError") return true;
  if (name === "RpcError") return code === "CLOSED" || code === "DEADLINE";
  return NETWORK_CODES.has(code);
}

/** Why a session could not be opened. Undefined: a master answered, and refused. */
export function whyUnreached(error: unknown): string | undefined {
  const { name, code = "", message } = error as { name?: string; code?: string; message: string };
  const rpc = name === "RpcError";
  const unreadable = name === "CodecError" || name === "FramingError";
  if (rpc && code === "CLOSED") {
    return `it takes connections, and closes them before it has answered (${message})`;
  }
  if (unreadable || (rpc && FOREIGN_CODES.has(code))) {
    return `something answers there, but it is not a Titan master (${message})`;
  }
  // It is a master, and it works: too many others are there.
  if (rpc && code === "OVERLOADED") {
    return `it is ${/\bat its limit of \d+ .*$/s.exec(message)?.[0] ?? `overloaded (${message})`}`;
  }
  // A frozen or swapped-out master looks the same, so we do not say what the program is.
  if (rpc && code === "DEADLINE") return `it takes connections, and does not answer (${message})`;
  if (!isConnectionError(error)) return undefined;
  if (code === "ECONNREFUSED") return "nobody listens there";
  return code === "ENOTFOUND" ? "there is no host of that name" : message;
}

/**
 * A token of blanks only. It is a mistake: the variable that should be in its place is not set.
 *
 * @example
 * ```ts
 * import { isBlank } from "#wire";
 * [" ", "", undefined, " x"].map(isBlank) // => [ true, false, false, false ]
 * ```
 */
export function isBlank(token: string | undefined): boolean {
  return token !== undefined && token !== "" && token.trim() === "";
}
