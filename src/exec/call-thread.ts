/**
 * Lesson 11: the programs of a process that carries calls.
 *
 * Neither a thread of Node 20 nor `node -e` takes a TypeScript file, and a second language for two
 * files would be worse. So the functions below are turned into text and run from there. They must
 * not use anything outside themselves, except the helpers that are sent along.
 *
 *     us ── request ──▶ ┌ call thread ──────────────┐      one at a time: a module's function
 *     us ◀── replies ── │ reads 3, writes 4         │
 *                       └───────────────────────────┘
 *     us ◀─ last word ─ supervisor: the main thread    runs nobody's code, so it always answers
 *
 * The supervisor ends the process when the thread ends, when we are gone, and when the process
 * takes too much memory: the limit of a thread bounds its JavaScript heap only, neither Buffers nor
 * WebAssembly.
 *
 * Invariants: a call's output comes before its Done, by the same pipe; while nobody reads that
 * pipe, the thread sleeps in `write`: backpressure for a loop that only prints. No text is turned
 * into bytes in one piece.
 * Left out: telling a call's output from what an earlier call's timers print in the same process.
 * And a bound on memory between two looks of the supervisor: a loop that fills Buffers gets some
 * 200 MB further.
 * Test: test/11-worker.calls.test.ts, test/11-worker.exec.test.ts
 */
import type * as Threads from "node:worker_threads";
import { describe, encodeResult, type Done } from "./call-encode.ts";
import { DONE, STDERR, STDOUT, type Call } from "./call-wire.ts";

/** The supervisor's last word: how the running call ended. */
export interface LastWord {
  readonly message: string;
  readonly exitCode?: number;
}

/** The limits that both programs get. */
export interface CallLimits {
  readonly maxResultBytes: number;
  /** The message for a larger result. */
  readonly tooLarge: string;
  /** The JavaScript heap of the thread. */
  readonly heapMb: number;
  /** All memory of the process. */
  readonly processMb: number;
  /** A process that holds more after a call takes no further call. */
  readonly heavyMb: number;
  readonly watchMs: number;
}

type Module = Record<string, unknown> & { default?: Record<string, unknown> };

/**
 * Modules that only src/host may import. The programs run in another process, and may load them.
 */
interface Modules {
  (name: "node:worker_threads"): typeof Threads;
  (name: "node:fs"): Files;
  (name: "node:perf_hooks"): { performance: { now(): number } };
  (name: "node:net"): {
    Socket: new (options: SocketOptions) => NodeJS.ReadWriteStream;
  };
  (name: "node:timers"): Record<"setInterval", (fn: () => void, ms: number) => unknown>;
}

interface SocketOptions {
  readonly fd: number;
  readonly writable?: boolean;
  readonly onread?: { readonly buffer: Buffer; callback(length: number): boolean };
}

interface Files {
  writeSync(fd: number, bytes: Uint8Array | string): number;
  writeFileSync(path: string, text: string): void;
  createReadStream(path: string, options: { fd: number }): NodeJS.ReadableStream;
}

function supervise(
  load: Modules, { limits, thread: program }: { limits: CallLimits; thread: string },
): void {
  const { Worker } = load("node:worker_threads");
  const fs = load("node:fs");
  const LAST_WORD = 5;
  const end = (message?: string, exitCode?: number): void => {
    try {
      if (message !== undefined) fs.writeSync(LAST_WORD, JSON.stringify({ message, exitCode }));
      process.kill(-process.pid, "SIGKILL"); // with every process that a call has started
    } catch {
      process.kill(process.pid, "SIGKILL"); // nobody listens, or the system has no groups
    }
  };
  process.title = "titan-calls";
  try {
    // When memory runs out, the system should end this process rather than the worker.
    fs.writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch { /* not Linux */ }
  process.stdin.on("error", () => end()).on("close", () => end()).resume();
  const thread = new Worker(program, {
    eval: true,
    workerData: limits,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMb },
  });
  let crash: (Error & { code?: string }) | undefined;
  thread.on("error", (error) => (crash = error as Error));
  thread.on("exit", (code) => {
    if (crash === undefined) return end(`ended its thread with process.exit(${code})`, code);
    const isMemory = crash.code === "ERR_WORKER_OUT_OF_MEMORY";
    if (!isMemory) return end(`crashed its thread: ${describe(crash)}`);
    end(`used more than the ${limits.heapMb} MB of memory that a call may have`);
  });
  // #region watch
  load("node:timers").setInterval(() => {
    if (memoryOf(process) <= limits.processMb * 1e6) return;
    const most = `the ${limits.processMb} MB of memory that the process of a call may have`;
    end(`used more than ${most}, Buffers included`);
  }, limits.watchMs);
  // #endregion
}

/** Only Node has `rss()`, the fast way. */
export function memoryOf({ memoryUsage }: typeof process): number {
  return typeof memoryUsage.rss === "function" ? memoryUsage.rss() : memoryUsage().rss;
}

interface Replies {
  reply(kind: number, content: Uint8Array): void;
  /** Writes a text in pieces, each of which may wait for its reader. */
  print(kind: number, chunk: string | Uint8Array): void;
}

export function openReplies(load: Modules): Replies {
  const fs = load("node:fs");
  const REPLIES = 4;
  const HEAD_BYTES = 5;
  const PIECE = 16 * 1024;
  const RETRY_MS = 2;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  // In a thread of Deno files have no numbers. There the pipe is a socket, and writing does not
  // wait for its reader.
  const { deno } = process.versions as Record<string, string | undefined>;
  const socket = deno === undefined ? undefined : new (load("node:net").Socket)({ fd: REPLIES });
  /** Waits while nobody reads. */
  const write = (bytes: Uint8Array): void => {
    if (socket !== undefined) return void socket.write(bytes);
    for (let at = 0; at < bytes.length; ) {
      try {
        at += fs.writeSync(REPLIES, bytes.subarray(at));
      } catch (error) {
        if ((error as { code?: string }).code !== "EAGAIN") return; // nobody is there any more
        Atomics.wait(pause, 0, 0, RETRY_MS);
      }
    }
  };
  const reply = (kind: number, content: Uint8Array): void => {
    const bytes = Buffer.alloc(HEAD_BYTES + content.length);
    bytes.writeUInt8(kind, 0);
    bytes.writeUInt32BE(content.length, 1);
    bytes.set(content, HEAD_BYTES);
    write(bytes);
  };
  const print = (kind: number, chunk: string | Uint8Array): void => {
    for (let at = 0; at < chunk.length; ) {
      let end = Math.min(at + PIECE, chunk.length);
      if (typeof chunk === "string") {
        // One character must not be cut into two pieces.
        if (end < chunk.length && (chunk.charCodeAt(end - 1) & 0xfc00) === 0xd800) end++;
        reply(kind, Buffer.from(chunk.slice(at, end)));
      } else reply(kind, chunk.subarray(at, end));
      at = end;
    }
  };
  return { reply, print };
}

/** `take` must not keep its buffer: the next bytes may overwrite it. */
export function openRequests(load: Modules, take: (bytes: Buffer) => void): void {
  const REQUESTS = 3;
  const { bun, deno } = process.versions as Record<string, string | undefined>;
  const { Socket } = load("node:net");
  if (bun !== undefined) {
    // Bun has no such sockets. A file stream waits in a thread of the pool, one of a few.
    load("node:fs").createReadStream("", { fd: REQUESTS }).on("data", take);
  } else if (deno !== undefined) {
    new Socket({ fd: REQUESTS, writable: false }).on("data", take);
  } else {
    // Without `onread` Node takes 64 kB for each request, and collects garbage after every hundred.
    const buffer = Buffer.alloc(64 * 1024);
    const callback = (length: number): boolean => {
      take(buffer.subarray(0, length));
      return true;
    };
    new Socket({ fd: REQUESTS, writable: false, onread: { buffer, callback } });
  }
}

/** Runs the function that a call names. `loaded`: asking Node for a module again costs 30 µs. */
async function runCall(
  call: Call, { print, loaded }: { print: (text: string) => void; loaded: Map<string, Module> },
): Promise<unknown> {
  for (const name of Object.keys(process.env)) if (!(name in call.env)) delete process.env[name];
  Object.assign(process.env, call.env);
  const module = loaded.get(call.url) ?? ((await import(call.url)) as Module);
  loaded.set(call.url, module);
  // A CommonJS module comes as the default export of an empty module.
  const found = module[call.name] ?? module.default?.[call.name];
  if (typeof found !== "function") {
    const all = new Set([...Object.keys(module), ...Object.keys(module.default ?? {})]);
    const names = [...all].sort().join(", ").slice(0, 1000) || "nothing";
    const why = `no such function; the module exports ${names}`;
    throw Object.assign(new Error(`Cannot call ${call.target}: ${why}`), { isMissing: true });
  }
  const input: unknown = call.input === "" ? undefined : JSON.parse(call.input);
  const log = (text: unknown): void => print(`${String(text)}\n`);
  return found(input, { ...call.context, inputs: JSON.parse(call.inputs), log });
}

interface Kinds {
  readonly STDOUT: number;
  readonly STDERR: number;
  readonly DONE: number;
}

/** Sends everything that is printed in this thread the way of the replies. */
function redirectOutput(print: Replies["print"], kinds: Kinds): void {
  for (const [stream, kind] of [["stdout", kinds.STDOUT], ["stderr", kinds.STDERR]] as const) {
    const write = (chunk: string | Uint8Array, encoding?: unknown, then?: unknown): boolean => {
      print(kind, chunk);
      const callback = typeof encoding === "function" ? encoding : then;
      if (typeof callback === "function") process.nextTick(callback as () => void);
      return true;
    };
    process[stream].write = write as typeof process.stdout.write;
  }
}

interface Thread {
  readonly print: Replies["print"];
  readonly kinds: Kinds;
  readonly limits: CallLimits;
  readonly loaded: Map<string, Module>;
}

/** Runs a call, and turns its result or its error into a Done. */
async function answerCall(call: Call, { print, kinds, limits, loaded }: Thread): Promise<Done> {
  const MAX_STACK_CHARS = 64 * 1024;
  const { id } = call;
  try {
    if (call.input !== "") JSON.parse(call.input);
  } catch (error) {
    const why = `its input is not JSON (${describe(error)})`;
    return { id, kind: "bad-input", text: `Cannot call ${call.target}: ${why}` };
  }
  try {
    const value = await runCall(call, { print: (text) => print(kinds.STDOUT, text), loaded });
    const { maxResultBytes: maxBytes, tooLarge } = limits;
    return encodeResult(id, value, { maxBytes, tooLarge });
  } catch (error) {
    const { isMissing, message } = (error ?? {}) as Error & { isMissing?: boolean };
    if (isMissing === true) return { id, kind: "not-found", text: message };
    if (error instanceof Error) {
      print(kinds.STDERR, `${String(error.stack).slice(0, MAX_STACK_CHARS)}\n`);
    }
    return { id, kind: "exit", text: `threw ${describe(error)}` };
  }
}

function callThread(load: Modules, kinds: Kinds): void {
  const limits = load("node:worker_threads").workerData as CallLimits;
  const WEIGH_MS = 2;
  const { reply, print } = openReplies(load);
  const thread: Thread = { print, kinds, limits, loaded: new Map() };
  redirectOutput(print, kinds);
  const { performance: clock } = load("node:perf_hooks");
  let weighed = 0;
  /** Reading the memory costs 20 µs, and in WEIGH_MS a call fills some 4 MB at most. */
  const isHeavy = (): boolean => {
    const now = clock.now();
    if (now - weighed < WEIGH_MS) return false;
    weighed = now;
    return memoryOf(process) > limits.heavyMb * 1e6;
  };
  let waiting: Buffer = Buffer.alloc(0);
  openRequests(load, (chunk) => {
    const bytes = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE(0)) {
      waiting = Buffer.from(bytes); // the next bytes overwrite `bytes`
      return;
    }
    const call = JSON.parse(bytes.toString("utf8", 4)) as Call;
    waiting = Buffer.alloc(0); // there is one call at a time, so nothing follows it
    void answerCall(call, thread).then((done) => {
      const heavy = isHeavy();
      reply(kinds.DONE, Buffer.from(JSON.stringify(heavy ? { ...done, heavy } : done)));
    });
  });
}

/**
 * The compilers put calls of their own helpers into the text: esbuild (under `tsx`) wraps named
 * functions in `__name`, tsc wraps the argument of `import()`, which it might have to rewrite.
 * Neither helper is needed here.
 */
const COMPILERS =
  "const __name = (f) => f; const __rewriteRelativeImportExtension = (url) => url;";
/** The beginning of every program: the functions that all of them use. */
export const HELPERS = `"use strict"; ${COMPILERS} ${describe}; ${encodeResult}; ${memoryOf};`;

/** The program of a process for calls, for `node -e`. */
export function callProgram(limits: CallLimits): string {
  const thread = threadProgram("require", JSON.stringify({ STDOUT, STDERR, DONE }));
  return `${HELPERS} (${supervise})(require, ${JSON.stringify({ limits, thread })});`;
}

/** The program of its thread, with these two expressions as its modules and kinds. */
export function threadProgram(load: string, kinds: string): string {
  return `${HELPERS} ${openReplies}; ${openRequests}; ${runCall}; ${redirectOutput}; ` +
    `${answerCall}; (${callThread})(${load}, ${kinds});`;
}
