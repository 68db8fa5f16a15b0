/**
 * Lesson 20: sessions of the handshake eras over HTTP, where each message is a request of its own:
 * an id in a header leads to what `initialize` has said.
 *
 * Invariants: nobody guesses an id; there are MAX_SESSIONS at most, and the one that was silent
 * longest has to begin again.
 * Test: test/20-mcp.http.test.ts
 */
import type { Host } from "#host";
import type { MountedAnswer } from "#http";
import type { Id } from "./json-rpc.ts";
import type { LegacySession } from "./legacy.ts";
import { Stream } from "./stream.ts";

export const SESSION_HEADER = "mcp-session-id";
/** A cluster has a few people, each with a few assistants. */
export const MAX_SESSIONS = 500;
const ID_BYTES = 18;

export class HttpSession {
  readonly id: string;
  readonly legacy: LegacySession;
  readonly #host: Host;
  readonly #open = new Map<Id, AbortController>();
  #news: Stream | undefined;

  constructor(host: Host, id: string, make: (notify: (message: object) => void) => LegacySession) {
    this.#host = host;
    this.id = id;
    this.legacy = make((message) => this.#news?.send(message));
  }

  /** Where messages go that belong to no request. A second stream takes the place of the first. */
  listen(signal: AbortSignal): MountedAnswer {
    this.#news?.end();
    this.#news = new Stream(this.#host, signal);
    return this.#news.answer();
  }

  begin(id: Id, stop: AbortController): void {
    this.#open.set(id, stop);
  }

  over(id: Id): void {
    this.#open.delete(id);
  }

  cancel(id: unknown): void {
    this.#open.get(id as Id)?.abort();
  }

  close(): void {
    for (const stop of this.#open.values()) stop.abort();
    this.#news?.end();
    this.legacy.close();
  }
}

export class HttpSessions {
  readonly #host: Host;
  /** The one that was silent longest comes first. */
  readonly #all = new Map<string, HttpSession>();

  constructor(host: Host) {
    this.#host = host;
  }

  make(make: (notify: (message: object) => void) => LegacySession): HttpSession {
    const id = Buffer.from(this.#host.random.bytes(ID_BYTES)).toString("base64url");
    return new HttpSession(this.#host, id, make);
  }

  keep(session: HttpSession): void {
    this.#all.set(session.id, session);
    for (const oldest of this.#all.values()) {
      if (this.#all.size <= MAX_SESSIONS) return;
      this.end(oldest);
    }
  }

  find(id: string | undefined): HttpSession | undefined {
    const session = this.#all.get(id ?? "");
    if (session === undefined) return undefined;
    this.#all.delete(session.id);
    this.#all.set(session.id, session);
    return session;
  }

  end(session: HttpSession): void {
    this.#all.delete(session.id);
    session.close();
  }
}
