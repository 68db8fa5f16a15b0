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
  /** The address of the store that the client has reached, for CLIENT LIST. */
  readonly localAddress?: string;
  /**
   * True: this client need not say AUTH (an embedded one). Default: true when there is no password.
   */
  readonly authenticated?: boolean;
  /**
   * Called when something was written outside of this client's own commands (a published message,
   * the end of a wait), and should be sent.
   */
  readonly onPush?: () => void;
  /**
   * Called when the client's wait is over and answered: its next commands may go on. Never called
   * from within a command.
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
   * A command of this client changed something since its answers were last taken: the answers
   * depend on changes that may not be on disk yet.
   */
  wrote = false;
  /** The client said QUIT: the server closes once the answer is sent. */
  closing = false;
  /** Commands between MULTI and EXEC. */
  queue: string[][] | undefined;
  /** The bytes of these commands. */
  queuedBytes = 0;
  /** One of these commands was wrong: EXEC will refuse. */
  queueBroken = false;
  /** The cost of the names that the client watches, listens to and waits for. */
  namesBytes = 0;
  /** Keys under WATCH. */
  readonly watched = new Set<string>();
  /** One of the watched keys was changed. */
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
   * Set by TITAN.SYNC, after which the connection is a replica's: the server hands the socket over,
   * and writes nothing more.
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

  /** The bytes that the store keeps for this client: names, and the commands of a transaction. */
  get keptBytes(): number {
    return this.namesBytes + (this.queue === undefined ? 0 : this.queuedBytes);
  }
}
