/**
 * Lesson 20: what the server has to remember between a question and its answer, given to the client
 * to carry.
 *
 *     state = base64url( nonce 12 B | expires u48 | hmac-sha256( key, nonce | expires | about ) )
 *     about = who asks, which tool, which arguments, and what the person was shown
 *
 * The client is not trusted with it: it may change it, keep it, show it twice, or show it with
 * another request. So what the question was about is not in the state but in the seal: whoever
 * comes back must ask for the same thing again, and gets a seal over something else if not.
 *
 * Invariants: a state is accepted once, within STATE_MS, by the one that made it, for the request
 * that it was made for. The memory for used ones is bounded by MAX_USED.
 * Left out: a key that survives the process. Its next start does not know the state, and asks anew.
 * Test: test/20-mcp.test.ts
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Host } from "#host";

/** A person reads a question and decides; after ten minutes they have gone for coffee. */
export const STATE_MS = 600_000;
/** States that were used, and are not over yet: 170 decisions a second for ten minutes. */
export const MAX_USED = 100_000;
const NONCE_BYTES = 12;
const TIME_BYTES = 6;
const SEAL_BYTES = 32;
const KEY_BYTES = 32;

export type Opened = "fine" | "forged" | "late" | "used";

export class RequestStates {
  readonly #host: Host;
  readonly #key: Buffer;
  /** When each ends, by its nonce, in the order in which they were used. */
  readonly #used = new Map<string, number>();

  constructor(host: Host) {
    this.#host = host;
    this.#key = Buffer.from(host.random.bytes(KEY_BYTES));
  }

  make(about: string): string {
    const head = Buffer.alloc(NONCE_BYTES + TIME_BYTES);
    head.set(this.#host.random.bytes(NONCE_BYTES));
    head.writeUIntBE(Math.ceil(this.#host.clock.monotonic()) + STATE_MS, NONCE_BYTES, TIME_BYTES);
    return Buffer.concat([head, this.#seal(head, about)]).toString("base64url");
  }

  // #region open
  /**
   * Whether this state is ours, of this request, in time, and new. A fine one is used up by it. If
   * nothing more can be remembered as used, a new one is "late", too.
   */
  open(state: string, about: string): Opened {
    // #exercise openState
    const bytes = Buffer.from(state, "base64url");
    const head = bytes.subarray(0, NONCE_BYTES + TIME_BYTES);
    const seal = bytes.subarray(head.length);
    // Before anything that it says is believed.
    if (seal.length !== SEAL_BYTES || !timingSafeEqual(seal, this.#seal(head, about))) {
      return "forged";
    }
    const now = this.#host.clock.monotonic();
    const ends = head.readUIntBE(NONCE_BYTES, TIME_BYTES);
    if (ends <= now) return "late";
    const nonce = head.toString("hex", 0, NONCE_BYTES);
    this.#forgetBefore(now);
    if (this.#used.has(nonce)) return "used";
    // Without a place to remember it, it could be shown again.
    if (this.#used.size >= MAX_USED) return "late";
    this.#used.set(nonce, ends);
    return "fine";
    // #end-exercise
  }
  // #endregion

  /** Late ones need no memory: their time says it. */
  #forgetBefore(now: number): void {
    for (const [nonce, ends] of this.#used) {
      if (ends > now) return;
      this.#used.delete(nonce);
    }
  }

  #seal(head: Buffer, about: string): Buffer {
    return createHmac("sha256", this.#key).update(head).update(about).digest();
  }
}
