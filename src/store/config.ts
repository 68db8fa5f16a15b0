/**
 * Lesson 15: settings, as CONFIG GET and CONFIG SET see them.
 *
 * Only settings that have an effect are listed, because tools believe what they read. The part that
 * owns a setting defines it here: the server its limits, the log its fsync policy.
 * Test: test/15-store.commands.test.ts
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TOO_LONG } from "./refusal.ts";

/** One setting. Without `set` it cannot be changed while running. */
export interface Setting {
  get(): string;
  /** Takes the value, or returns what is wrong with it. */
  set?(value: string): string | undefined;
}

/**
 * The longest string value: the longest argument a client may send. Longer ones would have to be
 * built by APPEND or SETRANGE, and no client could fetch and store them again.
 */
export const MAX_STRING_BYTES = 64 * 1024 * 1024;

export class Config {
  readonly settings = new Map<string, Setting>();
  #password: string;

  constructor(password: string) {
    this.#password = password;
    this.define("requirepass", {
      get: () => this.#password,
      set: (value) => void (this.#password = value),
    });
    this.define("proto-max-bulk-len", { get: () => String(MAX_STRING_BYTES) });
    this.define("databases", { get: () => "1" });
    this.define("maxmemory-policy", {
      get: () => "noeviction",
      set: (value) => (/^noeviction$/i.test(value) ? undefined : "there is no eviction here"),
    });
    // redis-benchmark asks for these two; the log, where there is one, defines the second anew.
    this.define("save", { get: () => "" });
    this.define("appendonly", { get: () => "no" });
  }

  define(name: string, setting: Setting): void {
    this.settings.set(name, setting);
  }

  get hasPassword(): boolean {
    return this.#password !== "";
  }

  /**
   * Compares hashes, which takes the same time wherever the passwords differ and whatever their
   * lengths.
   */
  isPassword(attempt: string): boolean {
    const digest = (text: string): Buffer => createHash("sha256").update(text, "latin1").digest();
    return timingSafeEqual(digest(attempt), digest(this.#password));
  }
}

/** Throws the `Refusal` for a string that would be too long. */
export function checkLength(bytes: number): void {
  if (bytes > MAX_STRING_BYTES) throw TOO_LONG;
}
