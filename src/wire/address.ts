/**
 * Lesson 10: where a master is, as people write it, and what an error says about reaching it.
 *
 * Errors are known by name and code, not by class, so that nobody has to load the network to ask.
 *
 * Test: test/sdk.test.ts
 */
import { hostPort, type HostPort } from "#base";
import { DEFAULT_PORT } from "./limits.ts";

/** Where people work alone: their own machine. */
const LOOPBACK = "127.0.0.1";

/** What the system says when nobody answers. */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH",
  "EHOSTDOWN", "ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL",
]);
/** What a client makes of the answers of a program that is no Titan master. */
const FOREIGN_CODES: ReadonlySet<string> = new Set(["BAD_FRAME", "TOO_LARGE"]);

/**
 * Reads `host:port`, `[::1]:9090`, `host`, `:9090` or `9090`. A string says what is wrong.
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
  return `redis://${password === undefined ? "" : `:${encodeURIComponent(password)}@`}${hostPort(at)}`;
}

/** Whether the connection is what failed: the same request may work on the next one. */
export function isConnectionError(error: unknown): boolean {
  const { name, code = "" } = (error ?? {}) as { name?: string; code?: string };
  if (name === "ConnectError") return true;
  if (name === "RpcError") return code === "CLOSED" || code === "DEADLINE";
  return NETWORK_CODES.has(code);
}

/** Why a session could not be opened. Undefined: a master answered, and said no. */
export function whyUnreached(error: unknown): string | undefined {
  const { name, code = "", message } = error as { name?: string; code?: string; message: string };
  const rpc = name === "RpcError";
  const unreadable = name === "CodecError" || name === "FramingError";
  if (rpc && code === "CLOSED") {
    return `it takes connections, and closes them without a word of Titan's (${message})`;
  }
  if (unreadable || (rpc && FOREIGN_CODES.has(code))) {
    return `something answers there, but it is not a Titan master (${message})`;
  }
  // A master, and one that works: too many others are there.
  if (rpc && code === "OVERLOADED") {
    return `it is ${/\bat its limit of \d+ .*$/s.exec(message)?.[0] ?? `overloaded (${message})`}`;
  }
  // A master that is frozen or swapped out looks the same, so this is no verdict on what it is.
  if (rpc && code === "DEADLINE") return `it takes connections, and does not answer (${message})`;
  if (!isConnectionError(error)) return undefined;
  if (code === "ECONNREFUSED") return "nobody listens there";
  return code === "ENOTFOUND" ? "there is no host of that name" : message;
}

/**
 * A token of blanks only. Nobody means one: a variable was to be put there and was not set.
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
