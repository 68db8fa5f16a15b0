/**
 * Lesson 03: the one door.
 *
 * Everything that can differ between two runs of the same program enters through the `Host`
 * interface below: time, chance, the network, the disk and other processes. The master, the
 * workers, the rpc layer and the log are handed a `Host` and never reach around it, so the same
 * code runs on a real machine (`node.ts`) and in a simulated one (`src/simhost`) where the clock is
 * a number and the network is an array.
 *
 * Invariants: nothing here mentions Node; every callback runs on a later turn of the event loop
 * than the call that armed it, in both worlds.
 * Left out: DNS, UDP and file watching, which Titan does not use.
 * Test: test/03-host.test.ts
 */

// #region host
/** Everything that is not deterministic. */
export interface Host {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly network: Network;
  readonly storage: Storage;
}
// #endregion

/** A host that starts programs, too. Workers need one; masters and stores do not. */
export interface WorkerHost extends Host {
  readonly processes: Processes;
}

export interface Clock {
  /** Milliseconds since some start, fractions allowed. Never goes back: use it for durations. */
  monotonic(): number;
  /**
   * Whole milliseconds since 1970 UTC. May jump: use it only for times that people or logs will
   * read.
   */
  wall(): number;
}

// #region timers
export interface Timers {
  /** Runs `fn` once, `ms` from now (clamped to 0 ≤ ms ≤ 2^31-1). */
  after(ms: number, fn: () => void): Timer;
  /** Runs `fn` once everything that has already arrived in this turn has been handled. */
  soon(fn: () => void): void;
}
// #endregion

export interface Timer {
  /** Idempotent, and safe after the timer has fired. */
  cancel(): void;
  /** From now on it keeps no process from ending. */
  unref?(): void;
}

export interface Random {
  /** An integer, 0 ≤ n < 2^32. */
  u32(): number;
  /** A fraction, 0 ≤ x < 1. */
  unit(): number;
  bytes(count: number): Uint8Array;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Network {
  /** Port 0 asks for any free port; the listener says which one it got. */
  listen(at: Address, onSocket: (socket: Socket) => void): Promise<Listener>;
  /** Rejects with an `Error` whose `code` is the system's (ECONNREFUSED, ETIMEDOUT, …). */
  dial(to: Address, options?: { timeoutMs?: number }): Promise<Socket>;
}

export interface Listener extends Address {
  /** Stops accepting. Open sockets stay open. */
  close(): Promise<void>;
}

/** An ordered, reliable stream of bytes in both directions: as much as TCP gives, and no more. */
export interface Socket {
  /** The peer, for people: "127.0.0.1:54321". */
  readonly remote: string;
  /** Bytes handed to `write` that the operating system has not taken yet. */
  readonly pendingBytes: number;
  /** Must be called once, in the turn that delivered the socket. */
  handle(handlers: SocketHandlers): void;
  /**
   * Queues bytes, in order. The caller must not change them afterwards. False: wait for `onDrain`.
   */
  write(bytes: Uint8Array): boolean;
  /** The same for bytes that are lent: when this returns, the caller may change them. */
  writeLent(...pieces: readonly Uint8Array[]): boolean;
  /**
   * Stops and restarts `onData`; the peer's TCP window then fills up, which is the backpressure.
   */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes our side. */
  end(): void;
  /** Closes now and drops what is queued. Idempotent. */
  destroy(): void;
  /** The same, and the other side sees ECONNRESET: it must not take this for an end in order. */
  reset(): void;
  /** Whether it keeps this process from ending while it is open. At first it does. */
  keepAlive?(on: boolean): void;
}

export interface SocketHandlers {
  onData(chunk: Buffer): void;
  /**
   * True: each chunk is lent, and the same memory is read into again when `onData` returns. The
   * handler copies what it keeps, and is spared 64 KiB of new memory for each read.
   */
  readonly borrows?: boolean | undefined;
  onDrain?(): void;
  /** The other side sends no more, and may read on. Without this handler our side closes, too. */
  onEnd?(): void;
  /** Exactly once, whatever happened; `error` is absent when both sides ended in order. */
  onClose(error?: Error): void;
}

/** Paths are ordinary paths. Errors carry the system's `code` (ENOENT, ENOSPC, EIO, …). */
export interface Storage {
  /**
   * `create` makes a missing file; `exclusive` fails with EEXIST if it is there; `readOnly` asks
   * for no more than that.
   */
  open(
    path: string,
    options?: { create?: boolean; exclusive?: boolean; readOnly?: boolean },
  ): Promise<StoredFile>;
  readFile(path: string): Promise<Buffer>;
  /** Replaces the content. Not durable and not atomic by itself. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** No error when the path is missing. `recursive` also removes folders. */
  remove(path: string, options?: { recursive?: boolean }): Promise<void>;
  /** Makes missing parents too; no error when the folder is there. */
  mkdir(path: string): Promise<void>;
  /** Names inside a folder, sorted; empty when the folder is missing. */
  list(path: string): Promise<string[]>;
  /** Undefined when the path is missing. Follows symbolic links. */
  stat(path: string): Promise<FileInfo | undefined>;
  /** Makes renames, creations and removals in this folder durable. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Takes a lock that dies with this process. Rejects with code ELOCKED, naming the holder, if it
   * is held.
   */
  lock(path: string): Promise<{ release(): Promise<void> }>;
}

export interface FileInfo {
  readonly kind: "file" | "directory" | "other";
  readonly size: number;
  /** POSIX permission bits, e.g. 0o755. */
  readonly mode: number;
}

export interface StoredFile {
  /** Bytes, as this handle knows it: grows with `append`, shrinks with `truncate`. */
  readonly size: number;
  /** Writes all parts at the end, in order. Not durable before `sync`. */
  append(parts: readonly Uint8Array[]): Promise<void>;
  /** `append` then `sync` in one go: the hot path of the log. */
  appendAndSync(parts: readonly Uint8Array[]): Promise<void>;
  /** Resolves once everything appended so far would survive a power cut (fdatasync). */
  sync(): Promise<void>;
  /**
   * Up to `length` bytes from `offset`; shorter at the end of the file. A reader of gigabytes gives
   * the memory that it has done with as `into`, which may be used: garbage of that size is
   * collected late.
   */
  read(offset: number, length: number, into?: Buffer): Promise<Buffer>;
  truncate(size: number): Promise<void>;
  /** Runs after all earlier calls. Idempotent; later calls fail with EBADF. */
  close(): Promise<void>;
}

export interface Processes {
  /**
   * Starts a program in a process group of its own. Never throws for a bad program: the failure
   * arrives at `onExit`, with `error`, so that there is one place where an attempt ends.
   */
  spawn(options: SpawnOptions): Child;
}

export interface SpawnOptions {
  /** Program and arguments; no shell looks at them. */
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** The program is to be the leader of its group, so that `Child.pid` is its own. */
  readonly asLeader?: boolean;
  onOutput(stream: "stdout" | "stderr", bytes: Buffer): void;
  /** Exactly once, after the last `onOutput`. */
  onExit(exit: Exit): void;
}

export interface Exit {
  /** Exit status, or null when a signal ended the program or it never started. */
  readonly code: number | null;
  readonly signal: string | null;
  /**
   * Set when the program could not be started; `code` on it is the system's (ENOENT, EACCES, …).
   */
  readonly error?: Error & { code?: string };
}

export interface Child {
  /** Process id, once known (a pooled launcher knows it at once). */
  readonly pid: number | undefined;
  /** Sends a signal to the whole process group. Ignored once the child has exited. */
  signal(name: "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGSTOP" | "SIGCONT"): void;
  /** Stops and restarts reading output; the program blocks when its pipe is full. */
  pause(): void;
  resume(): void;
}
