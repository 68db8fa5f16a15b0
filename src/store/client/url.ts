/**
 * Where a store is, in one line that people can put into a setting.
 *
 *     redis://[[user]:password@]host[:port][/0]
 *
 * Test: test/15-store.client.test.ts
 */
import type { Address } from "#host";

/** Redis's own port. */
export const REDIS_PORT = 6379;

/** Where a store is, and how to get in. */
export interface StoreTarget {
  readonly at: Address;
  readonly username?: string;
  readonly password?: string;
}

/**
 * A URL that does not say where a store is. The message leaves the URL out: it may hold a password.
 */
export class StoreUrlError extends Error {
  override readonly name = "StoreUrlError";
  readonly code = "BAD_URL";
}

/**
 * Reads `redis://[[user]:password@]host[:port][/0]`. User and password are percent-decoded.
 *
 * @throws {StoreUrlError}
 * @example
 * ```ts
 * import { parseStoreUrl } from "#store";
 * const url = "redis://:s%40cret@[::1]:7000/0";
 * parseStoreUrl(url) // => { at: { host: '::1', port: 7000 }, password: 's@cret' }
 * parseStoreUrl("redis://db").at // => { host: 'db', port: 6379 }
 * ```
 */
export function parseStoreUrl(text: string): StoreTarget {
  const url = URL.canParse(text)
    ? new URL(text)
    : fail("it is not a URL such as redis://127.0.0.1:6379");
  if (url.protocol === "rediss:") fail("TLS is not supported; use redis:// through a tunnel");
  if (url.protocol !== "redis:") fail(`its scheme is ${url.protocol.slice(0, -1)}, not redis`);
  if (url.hostname === "") fail("it names no host");
  if (!/^\/?0?$/.test(url.pathname)) {
    fail(`the database is ${url.pathname.slice(1)}; there is only 0`);
  }
  if (url.search !== "" || url.hash !== "") fail("it has a query, which means nothing here");
  const port = url.port === "" ? REDIS_PORT : Number(url.port);
  if (port === 0) fail("the port is 0");
  const password = decode(url.password);
  const username = decode(url.username);
  if (username !== "" && password === "") {
    fail("a user is named without a password: write redis://:password@host");
  }
  return {
    at: { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port },
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return fail("user or password has a % that encodes nothing");
  }
}

function fail(why: string): never {
  throw new StoreUrlError(`Cannot read store URL: ${why}`);
}
