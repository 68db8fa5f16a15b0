/**
 * Lesson 19: what a port is told, and what it takes.
 *
 * Test: test/http.test.ts
 */
import type { Address, Host } from "#host";
import type { Mount } from "./mount.ts";

/** Event streams. Idle, each costs a socket and some 20 KiB. */
export const MAX_STREAMS = 2000;

export interface Patience {
  readonly headMs: number;
  readonly requestMs: number;
}

/** A head comes in one packet, or in a few; the largest body at 3 Mbit/s. */
export const PATIENCE: Patience = { headMs: 10_000, requestMs: 30_000 };

export interface HttpOptions {
  readonly host: Host;
  readonly master: Address;
  readonly token: string | undefined;
  readonly version: string;
  readonly listen: Address;
  /** Other names by which people reach this port: `titan.example.org:443`. */
  readonly names?: readonly string[];
  /** Other protocols, by their paths. */
  readonly mounts?: Readonly<Record<string, Mount>>;
  /** Nothing but those. */
  readonly mountsOnly?: boolean;
  /** How long a peer may take for its head, and for all of a request. */
  readonly patience?: Patience;
}
