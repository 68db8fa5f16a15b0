/**
 * Lesson 19: who may ask. Pure: it looks at the head of a request and says why not, or nothing.
 *
 *     a page of evil.test ──▶ http://127.0.0.1:9080/…    the browser sends Origin: http://evil.test
 *     evil.test, whose name leads to 127.0.0.1 by now     the browser sends Host: evil.test:9080
 *
 * A port on loopback is open to every page that the same person looks at: their browser will send
 * what a foreign page asks for. So both headers are compared with the names that we know ourselves
 * by, on every method and every path. A change needs more: a header that a page of another origin
 * cannot send without asking first, and nobody here answers that question.
 *
 * Invariants: no request is served whose Host or Origin is unknown; tokens are compared in a time
 * that does not depend on where they differ.
 * Left out: TLS (chapter 21). Beyond loopback this belongs behind a server that has it.
 * Test: test/http.test.ts
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** A header that only our own pages and programs send: any value does. */
export const REQUEST_HEADER = "titan-request";

/** The head of a request, as far as it matters here. Names of headers are in small letters. */
export interface Head {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface Refused {
  readonly status: 401 | 403;
  readonly why: string;
}

export interface Rules {
  /** What we are called in `Host`: `127.0.0.1:9080`, `localhost:9080`, … */
  readonly names: ReadonlySet<string>;
  /** Undefined: nobody needs one. */
  readonly token: string | undefined;
  /** The cookie that holds a session. */
  readonly cookie: string;
  /** Whether this session was opened with a link of ours, and is not over. */
  readonly isSession: (id: string) => boolean;
}

/** The names of a port on this machine, and others that somebody has given it. */
export function namesOf(port: number, others: readonly string[] = []): Set<string> {
  const hosts = ["127.0.0.1", "localhost", "[::1]"];
  return new Set([...hosts.map((host) => `${host}:${port}`), ...others.map(lower)]);
}

// #region guard
/** Why this request is not even looked at. The same for every path, streams included. */
export function strangeRequest({ headers }: Head, { names }: Rules): Refused | undefined {
  const { host, origin } = headers;
  if (host === undefined || !names.has(lower(host))) {
    return { status: 403, why: `Cannot serve host ${shown(host)}: this is ${[...names][0]}` };
  }
  // Programs send none, and browsers none with a link or an image.
  if (origin === undefined) return undefined;
  const isOurs = origin.startsWith("http") && names.has(lower(origin).replace(/^https?:\/\//, ""));
  if (isOurs) return undefined;
  return { status: 403, why: `Cannot serve a page of ${shown(origin)}` };
}

/** Why this request may not see or change data. */
export function unknownPerson(head: Head, rules: Rules): Refused | undefined {
  const { method, headers } = head;
  const bearer = /^bearer +(\S+)$/i.exec(headers["authorization"] ?? "")?.[1];
  const isChange = method !== "GET" && method !== "HEAD";
  if (rules.token !== undefined) {
    const session = cookieOf(headers["cookie"] ?? "", rules.cookie);
    const isKnown = bearer === undefined
      ? session !== undefined && rules.isSession(session)
      : isEqual(bearer, rules.token);
    if (!isKnown) {
      const advice = "send Authorization: Bearer TOKEN, or open the link that the master printed";
      return { status: 401, why: `Cannot serve this without the cluster's token: ${advice}` };
    }
  }
  // Only a program can set this one, and a page can only for its own origin.
  if (!isChange || bearer !== undefined || headers[REQUEST_HEADER] !== undefined) return undefined;
  return { status: 403, why: `Cannot change anything without the header ${REQUEST_HEADER}: 1` };
}
// #endregion

/** The value of one cookie in a header that may hold many. */
export function cookieOf(header: string, name: string): string | undefined {
  for (const pair of header.split(";")) {
    const [key, ...rest] = pair.trim().split("=");
    if (key === name) return rest.join("=");
  }
  return undefined;
}

/** Hashing first makes the lengths equal. */
function isEqual(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

function lower(text: string): string {
  return text.toLowerCase();
}

/** Of text that a stranger has sent, as much as an error needs. */
function shown(text: string | undefined): string {
  return text === undefined ? "(none)" : JSON.stringify(text.slice(0, 200));
}
