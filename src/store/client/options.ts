/**
 * Lesson 15: what a client of a store may be told, and how much it holds and waits.
 *
 * Test: test/15-store.client.test.ts
 */
import type { Host } from "#host";
import type { Value } from "../resp/replies.ts";
import type { StoreTarget } from "./url.ts";

/**
 * Calls without an answer, on their way or not. At 100,000 answers a second, half a second of them.
 */
export const MAX_PENDING_CALLS = 50_000;
/** Their bytes: the largest value four times over, as the server limits a command. */
export const MAX_PENDING_BYTES = 256 * 1024 * 1024;
/**
 * How long a call waits for a connection: a restart of the store takes 2 s, a person's patience
 * ends about here.
 */
export const PATIENCE_MS = 10_000;
/** No byte for this long while a call has no answer: the other end counts as gone. */
export const SILENCE_MS = 30_000;

export interface StoreClientOptions {
  readonly host: Host;
  /** `redis://[[user]:password@]host[:port][/0]`, or the parts of it. */
  readonly url: string | StoreTarget;
  /** Values as Buffers. Otherwise as text, read as UTF-8, which damages binary ones. */
  readonly buffers?: boolean;
  /** How long a call may wait for a connection, ms; default PATIENCE_MS. */
  readonly patienceMs?: number;
  /** Default SILENCE_MS; 0 for a client that waits in BLPOP. */
  readonly silenceMs?: number;
  readonly maxPendingCalls?: number;
  readonly maxReplyBytes?: number;
}

export type Argument = string | Uint8Array | number | bigint;
export type Listener = (message: Value, channel: string) => void;
