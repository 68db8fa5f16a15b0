/**
 * One client of the store: bytes in, commands, bytes out, and never more memory than its limits
 * say.
 *
 *     socket ─▶ parser ─▶ store ─▶ out ─▶ [ held until the log is on disk ] ─▶ ready ─▶ socket
 *       ▲                                                                       │
 *       └── paused while more than SOFT_OUTPUT_BYTES are owed, or wait ◀────────┘
 *
 * A client's commands are executed for up to TURN_MS, and their answers leave in one write; then
 * the other clients have their turn. While a client does not read its answers, none of its commands
 * is read or executed, so the bytes that are owed to it stay near the soft limit. Published
 * messages cannot be held back in this way: a subscriber that falls behind by the hard limit is cut
 * off.
 *
 * While the log is far behind, a client whose next command is a write is not read from until the
 * log has caught up: fast writers are slowed down, not refused.
 *
 * A client that waits (BLPOP) is still read from: the server must notice that it has gone before an
 * element is given to it.
 *
 * Invariants: answers leave in the order of the commands; nothing is executed for a client that is
 * blocked, behind or ending.
 * Test: test/15-store.server.test.ts
 */
import type { Host, Socket, SocketHandlers, Timer } from "#host";
import { RespError } from "../resp/error.ts";
import { RespWriter } from "../resp/writer.ts";
import { RespParser } from "../resp/resp.ts";
import type { Session } from "../session.ts";
import type { Engine } from "../engine.ts";

/**
 * Answers owed to one client before it has to read some: a batch of 64 KiB chunks, and 1,000 such
 * clients are 1 GiB.
 */
export const SOFT_OUTPUT_BYTES = 1024 * 1024;
/**
 * The size of the largest answer: four of the largest values. Beyond it the client is cut off,
 * before the bytes are made.
 */
export const HARD_OUTPUT_BYTES = 256 * 1024 * 1024;
/** How far a subscriber may be behind. As in Redis: about a second of a full 250 Mbit/s line. */
export const HARD_PUSH_BYTES = 32 * 1024 * 1024;
/**
 * How much a blocked client may send ahead before it is cut off. It is not paused, since the server
 * must notice when it goes.
 */
export const MAX_AHEAD_BYTES = 16 * 1024 * 1024;
/** After this long of one client's commands the other clients have a turn. */
const TURN_MS = 10;
/** Looking at the clock costs a thirtieth of a small command; a large command may take 40 ms. */
const COMMANDS_PER_LOOK = 4;
/**
 * A client's time to read the last answer before the connection is cut. A loopback needs 1 ms, a
 * bad line 1 s.
 */
export const LINGER_MS = 2000;

/** A client that costs less than this is not counted: ten thousand of them are 160 MB. */
const UNCOUNTED_BYTES = 16 * 1024;

/** What a piece costs beside its bytes, as in the rpc layer. */
const PIECE_BYTES = 96;

/** What the connections of a server share. */
export interface Shared {
  readonly host: Host;
  /** Where the server listens. */
  readonly address: string;
  readonly store: Engine;
  /** Calls the connection's `flush` at the end of this turn. */
  flushLater(connection: StoreConnection): void;
  /** Answers wait for the log before they leave. */
  readonly commits: boolean;
  /** Resolves when a write need not wait for the log; undefined: it need not now. */
  readonly caughtUp: (() => Promise<void> | undefined) | undefined;
  gone(connection: StoreConnection): void;
  /** Takes note that a client costs so many bytes more, or fewer. */
  account(bytes: number): void;
}

const NOTHING = new Uint8Array(0);

/** Answers that wait for the log. */
interface Held {
  bytes: Uint8Array;
  /** Some of them depend on changes that the log does not hold yet. */
  readonly wrote: boolean;
}

export class StoreConnection {
  readonly #shared: Shared;
  readonly #socket: Socket;
  readonly #parser = new RespParser();
  readonly #out = new RespWriter(HARD_OUTPUT_BYTES);
  readonly #session: Session;
  /** Answers that were taken from `out`, and may not leave yet. */
  #held: Held[] = [];
  #heldBytes = 0;
  /** Answers that may leave, while the socket takes no more. */
  #ready: Uint8Array[] = [];
  #readyBytes = 0;
  #socketFull = false;
  /** What the client cost at the last look. Looks are rare, for most clients cost nothing. */
  accounted = 0;
  /** A write that waits for the log. */
  #next: string[] | undefined;
  #nextBytes = 0;
  /** The promise that it waits for. Each of them calls `#run` once. */
  #behind: Promise<void> | undefined;
  /** No more commands: the answers leave, then we close. */
  #ending = false;
  /** The client sends no more, but may read: `printf … | nc`. */
  #peerEnded = false;
  #ended = false;
  #linger: Timer | undefined;
  #closed = false;
  /** Set once the connection is a replica's. */
  #taken: SocketHandlers | undefined;

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
    this.#session = shared.store.session({
      out: this.#out,
      address: socket.remote,
      localAddress: shared.address,
      onPush: () => this.#onPush(),
      onUnblocked: () => this.#run(),
    });
    socket.handle({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => (this.#taken === undefined ? this.#onDrain() : this.#taken.onDrain?.()),
      onEnd: () => (this.#taken === undefined ? this.#onEnd() : socket.end()),
      onClose: (error) => {
        this.#onClose();
        this.#taken?.onClose(error);
      },
    });
  }

  /** The bytes that this client has not taken yet, wherever they wait. */
  get owedBytes(): number {
    return this.#out.size + this.#heldBytes + this.#readyBytes + this.#socket.pendingBytes;
  }

  /** All that is kept for this client: answers, half a command, names, a transaction. */
  get heldBytes(): number {
    return this.owedBytes + this.#parser.heldBytes + this.#nextBytes + this.#session.keptBytes;
  }

  /** Its answers, or those that would leave now, depend on changes that are not in the log yet. */
  get isUnsafe(): boolean {
    return this.#held.length > 0 || this.#session.wrote;
  }

  /** Sends the answers, and goes on with the commands that had to wait for that. */
  flush(): void {
    if (this.#closed || this.#taken !== undefined) return;
    this.#session.wrote = false;
    if (!this.#socketFull) this.#deliver(this.#out.take());
    this.#run();
  }

  /** For the group commit: takes the answers so far, which `release` will send. */
  hold(): Held {
    const held: Held = { bytes: NOTHING, wrote: this.#session.wrote };
    this.#session.wrote = false;
    if (this.#closed || this.#taken !== undefined) return held;
    held.bytes = this.#out.take();
    this.#heldBytes += held.bytes.length;
    this.#held.push(held);
    this.#account(this.heldBytes);
    return held;
  }

  /** Sends what `hold` has taken, in the same order. */
  release(held: Held): void {
    if (this.#held[0] !== held) return; // released already as a reader's
    this.#held.shift();
    this.#heldBytes -= held.bytes.length;
    this.#deliver(held.bytes);
    this.#run();
  }

  /** The disk is full: answers to reads leave; from the first answer to a write on, they wait. */
  releaseReads(): void {
    for (let held = this.#held[0]; held?.wrote === false; held = this.#held[0]) this.release(held);
  }

  /** Answers the commands that were executed, then closes. */
  end(): void {
    if (this.#taken !== undefined) return this.destroy();
    this.#ending = true;
    // A client that does not read is not waited for.
    this.#cutLater();
    this.#afterwards();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  #onData(chunk: Buffer): void {
    if (this.#taken !== undefined) return this.#taken.onData(chunk);
    if (this.#ending) return;
    this.#parser.push(chunk);
    this.#run();
  }

  /** Another client's command has written to this one. More may do so before this turn ends. */
  #onPush(): void {
    this.#cutOffIfBehind();
    this.#shared.flushLater(this);
  }

  #onEnd(): void {
    this.#peerEnded = true;
    this.#afterwards();
  }

  /** Executes the commands that have arrived, as far as it may. */
  #run(): void {
    if (this.#taken !== undefined) return;
    const { store, host: { clock } } = this.#shared;
    const session = this.#session;
    const until = clock.monotonic() + TURN_MS;
    let looks = 0;
    try {
      while (
        !this.#ending &&
        !this.#closed &&
        session.blocked === undefined &&
        this.owedBytes < SOFT_OUTPUT_BYTES
      ) {
        const argv = this.#nextCommand();
        if (argv === undefined) break;
        store.execute(session, argv);
        if (session.closing) this.#ending = true;
        if (session.takeOver !== undefined) return this.#handOver(session.takeOver);
        if (++looks % COMMANDS_PER_LOOK > 0 || clock.monotonic() < until) continue;
        this.#shared.flushLater(this); // `flush` goes on from here
        break;
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // Nobody can tell where the next command begins: the error is the last answer.
      this.#out.error(`ERR ${error.message}`);
      this.#ending = true;
    }
    this.#afterwards();
  }

  /** The next command, unless it has to wait. */
  #nextCommand(): string[] | undefined {
    const { store } = this.#shared;
    const session = this.#session;
    this.#parser.trusted = session.authenticated || !store.config.hasPassword;
    const argv = this.#next ?? this.#parser.next();
    if (argv === undefined) return undefined;
    const behind = this.#shared.caughtUp?.();
    if (behind !== undefined && store.wouldWrite(session, argv)) {
      this.#nextBytes = argv.reduce((sum, { length }) => sum + length, 0);
      this.#next = argv;
      if (behind !== this.#behind) void behind.then(() => this.#run());
      this.#behind = behind;
      return undefined;
    }
    if (this.#next !== undefined) {
      this.#next = undefined;
      this.#nextBytes = 0;
    }
    return argv;
  }

  /** Hands the socket over. Nothing of ours may come behind the first byte of the new owner. */
  #handOver(takeOver: NonNullable<Session["takeOver"]>): void {
    const isClear = this.#heldBytes === 0 && !this.#socketFull;
    if (!isClear || this.#parser.unreadBytes > 0) return this.destroy();
    this.#deliver(this.#out.take());
    this.#account(0); // a replica's limit is the backlog
    this.#taken = takeOver(this.#socket);
  }

  #afterwards(): void {
    this.#cutOffIfBehind();
    if (this.#closed) return;
    if (this.#out.size > 0) {
      if (this.#shared.commits) this.#shared.flushLater(this);
      else if (!this.#socketFull) {
        const full = this.owedBytes >= SOFT_OUTPUT_BYTES;
        this.#deliver(this.#out.take());
        // The socket took it all at once: the commands behind it come in a later turn, after other
        // clients'.
        if (full) this.#shared.flushLater(this);
      }
    }
    // A client that waits and has closed its side has gone: nothing may be given to it.
    if (this.#peerEnded && this.#session.blocked !== undefined) return this.destroy();
    const isDone = this.#parser.unreadBytes === 0 && this.#next === undefined;
    const isOver = this.#ending || (this.#peerEnded && isDone);
    if (isOver && this.owedBytes === this.#socket.pendingBytes) this.#close();
    this.#throttle();
  }

  #deliver(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#socketFull) {
      this.#ready.push(bytes);
      this.#readyBytes += bytes.length + PIECE_BYTES;
    } else if (!this.#socket.write(bytes)) this.#socketFull = true;
  }

  #onDrain(): void {
    this.#socketFull = false;
    const ready = Buffer.concat(this.#ready);
    this.#ready = [];
    this.#readyBytes = 0;
    this.#deliver(ready);
    this.#run();
  }

  /**
   * Pauses the socket, or resumes it: the commands of a client that takes no answers are not read.
   */
  #throttle(): void {
    this.#account(this.heldBytes);
    if (this.#parser.unreadBytes > MAX_AHEAD_BYTES && this.#session.blocked !== undefined) {
      return this.destroy();
    }
    const waits = this.#next !== undefined || this.owedBytes >= SOFT_OUTPUT_BYTES
      || this.#parser.unreadBytes > SOFT_OUTPUT_BYTES;
    const wanted = !this.#ending && this.#session.blocked === undefined && waits;
    if (wanted) this.#socket.pause();
    else this.#socket.resume();
  }

  #account(bytes: number): void {
    if (bytes < UNCOUNTED_BYTES && this.accounted === 0) return;
    const change = bytes - this.accounted;
    this.accounted = bytes;
    this.#shared.account(change);
  }

  #cutOffIfBehind(): void {
    const limit = this.#session.subscriptions > 0 ? HARD_PUSH_BYTES : HARD_OUTPUT_BYTES;
    if (this.owedBytes > limit) this.destroy();
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.end();
    // Bytes that the client still sends are read and dropped meanwhile: closing on unread bytes
    // would reset the connection, and lose the last answer.
    this.#cutLater();
  }

  #cutLater(): void {
    this.#linger?.cancel();
    this.#linger = this.#shared.host.timers.after(LINGER_MS, () => this.destroy());
  }

  #onClose(): void {
    this.#closed = true;
    this.#linger?.cancel();
    // The group commit keeps these objects until the disk is done: their bytes are freed now.
    for (const held of this.#held) held.bytes = NOTHING;
    this.#next = undefined;
    this.#account(0);
    this.#shared.store.end(this.#session);
    this.#shared.gone(this);
  }
}
