/**
 * Lesson 15: the primary's side of one replica.
 *
 *     replica   TITAN.SYNC id offset        "I know the stream `id` up to `offset`"; "? 0": nothing
 *     primary   titan.continue id offset    it goes on from there, or
 *               titan.full id offset · commands of a copy · titan.end      the state at that offset
 *               changes …, and titan.ping in silence
 *     replica   titan.ack offset            once a second
 *
 * Everything is a RESP array, so the replica needs the server's parser only. The names that begin
 * with "titan." are no changes and have no offset.
 *
 * Invariants: a titan.* command stands between two groups; of the changes, one block at most is
 * written and not yet taken, beside the socket's own buffer, for the rest waits in the backlog; of
 * a copy, `mostBytes` and one key.
 * Test: test/15-store.replica.test.ts
 */
import type { Socket, SocketHandlers } from "#host";
import { encodeCommand } from "../log/text.ts";
import type { SnapshotSink } from "../log/snapshot-queue.ts";
import type { Backlog } from "./backlog.ts";
import { RespParser } from "../resp/resp.ts";

/** A copy is written in pieces of this size. */
const PIECE_CHARS = 64 * 1024;

export interface ReplicaStreamContext {
  readonly id: string;
  readonly backlog: Backlog;
  /**
   * How many bytes of a copy may wait for a replica that does not read, beside the key that is
   * being written.
   */
  readonly mostBytes: number;
  now(): number;
  /** Puts all changes so far into the backlog. */
  flush(): void;
  /** The socket takes more, or is gone: the snapshot goes on. */
  wake(): void;
  gone(stream: ReplicaStream): void;
}

export class ReplicaStream implements SnapshotSink {
  readonly remote: string;
  /** `wait`: the copy has not begun. */
  state: "wait" | "copy" | "online";
  ackOffset = 0;
  /** Monotonic ms of the last sign of life. */
  heardAt: number;
  readonly #context: ReplicaStreamContext;
  readonly #socket: Socket;
  readonly #parser = new RespParser();
  /** Next byte of the stream to send. */
  #offset: number;
  #text = "";
  /** The key that was copied last. */
  #key: string | undefined;
  #full = false;
  #closed = false;

  /** `offset`: go on from there; undefined: a full copy is needed. */
  constructor(socket: Socket, context: ReplicaStreamContext, offset: number | undefined) {
    this.#socket = socket;
    this.#context = context;
    this.remote = socket.remote;
    this.heardAt = context.now();
    this.#offset = offset ?? 0;
    this.state = offset === undefined ? "wait" : "online";
    if (offset !== undefined) {
      this.#write(encodeCommand(["titan.continue", context.id, String(offset)]));
    }
  }

  readonly handlers: SocketHandlers = {
    onData: (chunk) => this.#onData(chunk),
    onDrain: () => {
      this.#full = false;
      this.heardAt = this.#context.now();
      if (this.state === "online") this.send();
      else this.#context.wake();
    },
    onClose: () => this.#gone(),
  };

  /** Sends changes for as long as the socket takes them. */
  send(): void {
    while (!this.#full && !this.#closed && this.state === "online") {
      const bytes = this.#context.backlog.read(this.#offset);
      if (bytes === undefined) return this.destroy();
      if (bytes.length === 0) return;
      this.#offset += bytes.length;
      this.#full = !this.#socket.write(bytes);
    }
  }

  /** The replica has not been sent all changes yet, and is being sent them. */
  get isBehind(): boolean {
    return this.state !== "wait" && this.#offset < this.#context.backlog.end;
  }

  /** The backlog has dropped changes that the replica was not sent. */
  get isLost(): boolean {
    return this.state !== "wait" && !this.#context.backlog.has(this.#offset);
  }

  ping(): void {
    // A replica that is online and has room was sent all there is: the ping is between two groups.
    if (this.state !== "copy" && !this.#full) this.#write(PING);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  #gone(): void {
    this.#closed = true;
    this.#context.gone(this);
  }

  isGone(): boolean {
    return this.#closed;
  }

  isReady(): boolean {
    return !this.#full;
  }

  begin(): void {
    this.#context.flush();
    this.state = "copy";
    this.heardAt = this.#context.now();
    this.#offset = this.#context.backlog.end;
    this.#text = encodeCommand(["titan.full", this.#context.id, String(this.#offset)]);
  }

  emit(argv: string[]): void {
    // Keys that are about to change are written out at once, however much waits: for a replica that
    // does not read, all keys could pile up here. But a key of any size must be sent whole, or a
    // large key that changes often could never be copied.
    const [, key] = argv;
    if (key !== this.#key && this.#socket.pendingBytes > this.#context.mostBytes) this.destroy();
    this.#key = key;
    this.#text += encodeCommand(argv);
    if (this.#text.length >= PIECE_CHARS) this.#writeText();
  }

  end(): void {
    this.#text += encodeCommand(["titan.end"]);
    this.#writeText();
    this.state = "online";
    this.send();
  }

  #writeText(): void {
    const text = this.#text;
    this.#text = "";
    this.#write(text);
  }

  #write(text: string): void {
    if (!this.#closed) this.#full = !this.#socket.write(Buffer.from(text, "latin1"));
  }

  #onData(chunk: Buffer): void {
    // A replica that sends and does not read counts as silent: a copy for it keeps all others
    // waiting.
    if (!this.#full) this.heardAt = this.#context.now();
    try {
      this.#parser.push(chunk);
      for (let argv = this.#parser.next(); argv !== undefined; argv = this.#parser.next()) {
        if (argv[0] === "titan.ack" && this.#context.backlog.end >= Number(argv[1])) {
          this.ackOffset = Number(argv[1]);
        }
      }
    } catch {
      this.destroy(); // the other end speaks another protocol
    }
  }
}

const PING = encodeCommand(["titan.ping"]);
