/**
 * Lesson 15: what the store knows of one client.
 *
 * Invariants: `queue` is set between MULTI and EXEC; while `blocked` is set, no further command of
 * this client may be executed (the server holds them back until `onUnblocked`).
 * Test: test/15-store.test.ts
 */
import type { Socket, SocketHandlers, Timer } from "#host";
import type { List } from "./data/list.ts";
import type { Replies } from "./types.ts";

export interface SessionInit {
  /** Where answers and pushes are written. */
  readonly out: Replies;
  /** For CLIENT LIST: "127.0.0.1:54321". */
  readonly address?: string;
  /** Where it was reached, for the same. */
  readonly localAddress?: string;
  /**
   * True: this client need not say AUTH (an embedded one). Default: true when there is no password.
   */
  readonly authenticated?: boolean;
  /**
   * Something was written outside of this client's own command (a published message, the end of a
   * wait): time to send it.
   */
  readonly onPush?: () => void;
  /**
   * The wait is over and answered: the commands that came behind may go on. Never called from
   * within a command.
   */
  readonly onUnblocked?: () => void;
}

/** A client that waits for an element (BLPOP, BLMOVE). */
export interface Blocked {
  readonly keys: readonly string[];
  /** Takes one from the list under `key` and answers, or throws a `Refusal`. */
  readonly take: (key: string, list: List) => void;
  timer: Timer | undefined;
}

/** What a name costs beside its bytes: a place in the client's set, and one in the table of all. */
const NAME_BYTES = 128;

export function nameCost(name: string): number {
  return name.length + NAME_BYTES;
}

export class Session {
  readonly id: number;
  readonly out: Replies;
  readonly address: string;
  readonly localAddress: string;
  readonly onPush: () => void;
  readonly onUnblocked: () => void;
  /** Wall-clock ms. */
  readonly since: number;
  authenticated: boolean;
  /** CLIENT SETNAME; empty: none. */
  name = "";
  /** CLIENT SETINFO. */
  library = { name: "", version: "" };
  lastCommand = "";
  /**
   * Something was changed for it since its answers were last taken: they say what a disk has yet to
   * hold.
   */
  wrote = false;
  /** The client said QUIT: the server closes once the answer is sent. */
  closing = false;
  /** Commands between MULTI and EXEC. */
  queue: string[][] | undefined;
  /** What they come to. */
  queuedBytes = 0;
  /** Something was wrong with one of them: EXEC will refuse. */
  queueBroken = false;
  /** What the names cost that it watches, listens to and waits for. */
  namesBytes = 0;
  /** Keys under WATCH. */
  readonly watched = new Set<string>();
  /** One of them was changed. */
  touched = false;
  readonly channels = new Set<string>();
  readonly patterns = new Set<string>();
  /**
   * Channels and patterns together. A RESP2 client that has any hears messages and may do little
   * else.
   */
  subscriptions = 0;
  blocked: Blocked | undefined;
  /**
   * Set by a command after which the connection is no longer a client's: the server hands the
   * socket over, and says nothing more.
   */
  takeOver: ((socket: Socket) => SocketHandlers) | undefined;

  constructor(id: number, init: SessionInit & { readonly since: number }) {
    this.id = id;
    this.since = init.since;
    this.out = init.out;
    this.address = init.address ?? "";
    this.localAddress = init.localAddress ?? "";
    this.authenticated = init.authenticated ?? false;
    this.onPush = init.onPush ?? (() => {});
    this.onUnblocked = init.onUnblocked ?? (() => {});
  }

  get protocol(): 2 | 3 {
    return this.out.protocol;
  }

  /** What the store keeps on its behalf: names, and the commands of a transaction. */
  get keptBytes(): number {
    return this.namesBytes + (this.queue === undefined ? 0 : this.queuedBytes);
  }
}
