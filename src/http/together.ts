/**
 * Lesson 19: several answers in one, made once for all who ask alike.
 *
 *     page ──┐  GET /api/v1/answers?get=gates&get=workers
 *     page ──┼─────────────────────────────────────▶ made once ──▶ the same bytes for all
 *     page ──┘  If-None-Match: "what I have"                   └─▶ 304 where these are known
 *
 * An open page asks every two seconds how its cluster stands. With fifty open pages the master
 * would read, encode and send the same rows a hundred times a second. One person's answer is
 * another's: there is one token, and the guard has let everybody in who comes here.
 *
 * A program that asks for /api/v1/workers itself still gets the workers as they are now.
 *
 * Invariants: an answer is kept for SHARED_MS after it was asked for first, and no longer; a person
 * who has changed something through this port gets none that is older than the change.
 * Test: test/http.together.test.ts
 */
import { createHash } from "node:crypto";
import type { Host } from "#host";
import { any, list, object, text } from "#rows";
import { problemOf } from "./answer.ts";
import { HttpError, Shared, type Asked, type Route } from "./route.ts";

/** A person does not see a quarter of a second, and states may be 1.5 s late. */
export const SHARED_MS = 250;
/** More than there are answers that pages ask for. */
const MAX_NAMES = 16;
/** Sets of names that are asked for at once: one for each kind of view, and some to spare. */
const MAX_KEPT = 32;

const ASK = "/api/v1/answers";
const API = "/api/v1/";

export const TOGETHER: Route = {
  method: "GET", path: ASK,
  summary: "Several answers in one, at most a quarter of a second old. It has an ETag.",
  query: { get: "the name of an answer, as workers (again for more)" },
  answer: list(object({ get: text, "value?": any, "error?": any })),
  run: (asked) => asked.together(asked),
};

export class Together {
  readonly #host: Host;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #kept = new Map<string, Promise<Shared>>();

  /** Of these routes those that name nothing but themselves: /api/v1/workers, /api/v1/gates, … */
  constructor(host: Host, routes: readonly Route[]) {
    this.#host = host;
    this.#routes = new Map(routes.flatMap((route) => {
      const isPlain = route.method === "GET" && route.answer !== undefined && route.path !== ASK &&
        /^\w+$/.test(route.path.slice(API.length));
      return isPlain ? [[route.path.slice(API.length), route] as const] : [];
    }));
  }

  /** @throws {HttpError} 400 */
  async answer(asked: Asked): Promise<Shared> {
    const names = [...new Set(asked.query.getAll("get"))].sort();
    const unknown = names.find((name) => !this.#routes.has(name));
    if (unknown !== undefined || names.length === 0 || names.length > MAX_NAMES) {
      const found = unknown === undefined ? `${names.length} of them`
        : JSON.stringify(unknown.slice(0, 100));
      throw new HttpError(400, "BAD_REQUEST", `Cannot answer together: get must be one to ` +
        `${MAX_NAMES} of ${[...this.#routes.keys()].join(", ")}: found ${found}`);
    }
    const key = names.join();
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const made = this.#make(names, asked);
    this.#keep(key, made);
    return made;
  }

  /** Something has changed. An answer under way may be of before: it is not kept, either. */
  forget(): void {
    this.#kept.clear();
  }

  #keep(key: string, made: Promise<Shared>): void {
    this.#kept.set(key, made);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(oldest!);
    const end = (): void => {
      if (this.#kept.get(key) === made) this.#kept.delete(key);
    };
    this.#host.timers.after(SHARED_MS, end).unref?.();
  }

  async #make(names: readonly string[], asked: Asked): Promise<Shared> {
    // A header of one of them is none of the whole. Others wait for it, too: it goes on when the
    // one who asked first has gone.
    const { signal } = new AbortController();
    const inner = { ...asked, query: new URLSearchParams(), tell: () => undefined, signal };
    const answers = await Promise.all(names.map(async (name) => {
      try {
        return { get: name, value: await this.#routes.get(name)!.run(inner) };
      } catch (error) {
        return { get: name, error: problemOf(error) };
      }
    }));
    const bytes = Buffer.from(`${JSON.stringify(answers)}\n`);
    const etag = `"${createHash("sha1").update(bytes).digest("base64url")}"`;
    return new Shared(bytes, etag);
  }
}
