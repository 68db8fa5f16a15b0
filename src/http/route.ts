/**
 * Lesson 19: a route, and the way from a path to it.
 *
 *     GET /api/v1/runs/nightly-7k2m/jobs/train     finds     /api/v1/runs/{run}/jobs/{job}
 *
 * A part of a path is decoded after the path has been split, so a name that holds a slash travels
 * as %2F and stays one part.
 *
 * Test: test/http.test.ts
 */
import type { Host } from "#host";
import type { Schema } from "#rows";
import type { Client } from "#sdk";
import type { EventHub } from "./events.ts";
import type { LoopLag } from "./lag.ts";
import type { Outlet } from "./reader.ts";

/** What a handler is given. */
export interface Asked {
  readonly client: Client;
  readonly host: Host;
  /** The parts of the path, by their names. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The body, if the route takes JSON: it fits the route's schema. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The body as it came. */
  readonly bytes: Buffer;
  /** Of the body, in small letters and without parameters. */
  readonly contentType: string;
  /** Aborted when the peer is gone. */
  readonly signal: AbortSignal;
  readonly hub: EventHub;
  readonly lag: LoopLag;
  /** Several answers in one (together.ts). */
  readonly together: (asked: Asked) => Promise<Shared>;
  /** What a browser has of a stream that it opens again. */
  readonly lastEventId: string | undefined;
  /** A header of the answer. */
  readonly tell: (name: string, value: string) => void;
}

/** An answer that is no JSON value: it is sent as it comes. */
export class Download {
  readonly type: string;
  readonly name: string;
  readonly pieces: AsyncIterable<Uint8Array>;

  constructor(name: string, type: string, pieces: AsyncIterable<Uint8Array>) {
    this.type = type;
    this.name = name;
    this.pieces = pieces;
  }
}

/** An answer that is a text of its own kind. */
export class Plain {
  readonly type: string;
  readonly text: string;

  constructor(type: string, text: string) {
    this.type = type;
    this.text = text;
  }
}

/** JSON that is made already, for all who ask for it. */
export class Shared {
  readonly bytes: Buffer;
  /** Of the bytes: others have another one. */
  readonly etag: string;

  constructor(bytes: Buffer, etag: string) {
    this.bytes = bytes;
    this.etag = etag;
  }
}

/** An answer that does not end: a stream of events. */
export class Live {
  readonly open: (outlet: Outlet) => void;

  constructor(open: (outlet: Outlet) => void) {
    this.open = open;
  }
}

export interface Route {
  readonly method: "GET" | "POST";
  /** `{name}` stands for one part. */
  readonly path: string;
  readonly summary: string;
  /** Parameters behind the `?`, each with what it means. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Schema;
  /** Media types of a body that is no JSON of ours. */
  readonly takes?: readonly string[];
  /** Undefined: a download, or what `type` says. */
  readonly answer?: Schema;
  /** Of an answer that is no JSON. */
  readonly type?: string;
  readonly run: (asked: Asked) => Promise<unknown>;
}

export interface Found {
  readonly route: Route;
  readonly path: Readonly<Record<string, string>>;
}

/** A request that we understand and refuse. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "HttpError";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/**
 * @throws {HttpError} 404 (no such path), 405 (this path, and not this method), 400 (half of a `%`)
 */
export function findRoute(routes: readonly Route[], method: string, path: string): Found {
  const parts = path.split("/");
  const others: string[] = [];
  for (const route of routes) {
    const found = match(route.path.split("/"), parts);
    if (found === undefined) continue;
    if (route.method === method || (route.method === "GET" && method === "HEAD")) {
      return { route, path: decoded(found, path) };
    }
    others.push(route.method);
  }
  if (others.length === 0) throw new HttpError(404, "NOT_FOUND", `There is no path ${path}`);
  const allow = others.join(", ");
  throw new HttpError(405, "UNSUPPORTED", `Cannot ${method} ${path}: it takes ${allow}`, { allow });
}

function match(
  pattern: readonly string[], parts: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const found: Record<string, string> = {};
  for (const [at, expected] of pattern.entries()) {
    const part = parts[at]!;
    if (!expected.startsWith("{")) {
      if (expected !== part) return undefined;
    } else if (part === "") return undefined;
    else found[expected.slice(1, -1)] = part;
  }
  return found;
}

function decoded(found: Readonly<Record<string, string>>, path: string): Record<string, string> {
  try {
    return Object.fromEntries(
      Object.entries(found).map(([name, part]) => [name, decodeURIComponent(part)]),
    );
  } catch {
    throw new HttpError(400, "BAD_REQUEST", `Cannot read path ${path}: a % that encodes nothing`);
  }
}
