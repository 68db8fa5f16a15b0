/**
 * Lesson 19: how a browser shows the token without a person typing it.
 *
 *     titan up prints  http://127.0.0.1:9080/login/CODE      the code works once
 *     GET /login/CODE  ─▶  Set-Cookie: titan-9080=…; HttpOnly; SameSite=Strict  ─▶  /
 *
 * The token itself never gets into an address, where histories and logs would keep it. A cookie
 * that is HttpOnly is read by no script, and one that is SameSite=Strict is sent for no foreign
 * page.
 *
 * Invariants: a code opens one session; sessions are few and end by themselves.
 * Left out: sessions that outlive the master. Its next start prints another link.
 * Test: test/http.test.ts
 */
import type { Host } from "#host";

/** A working day, with its evening. */
export const SESSION_MS = 12 * 3_600_000;
/** Browsers of one cluster at a time. The oldest one has to come again. */
export const MAX_SESSIONS = 100;
/** Links that nobody has opened. */
const MAX_CODES = 100;
/** 128 random bits: nobody guesses them. */
const ID_BYTES = 16;

export class Sessions {
  readonly #host: Host;
  /** Browsers send cookies to every port of a host, so the port is in the name. */
  readonly cookie: string;
  readonly #codes = new Set<string>();
  /** When each of them ends, the oldest first. */
  readonly #ends = new Map<string, number>();

  constructor(host: Host, port: number) {
    this.#host = host;
    this.cookie = `titan-${port}`;
  }

  /** A code for one link. */
  newCode(): string {
    const code = this.#draw();
    this.#codes.add(code);
    dropOldest(this.#codes, MAX_CODES);
    return code;
  }

  /** The header of the answer that opens a session. Undefined: this code opens none (any more). */
  open(code: string): string | undefined {
    if (!this.#codes.delete(code)) return undefined;
    const id = this.#draw();
    this.#ends.set(id, this.#host.clock.monotonic() + SESSION_MS);
    dropOldest(this.#ends, MAX_SESSIONS);
    const maxAge = SESSION_MS / 1000;
    return `${this.cookie}=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAge}`;
  }

  readonly has = (id: string): boolean => {
    const ends = this.#ends.get(id);
    if (ends === undefined) return false;
    if (ends > this.#host.clock.monotonic()) return true;
    this.#ends.delete(id);
    return false;
  };

  #draw(): string {
    return Buffer.from(this.#host.random.bytes(ID_BYTES)).toString("base64url");
  }
}

function dropOldest(kept: Set<string> | Map<string, number>, max: number): void {
  for (const key of kept.keys()) {
    if (kept.size <= max) return;
    kept.delete(key);
  }
}
