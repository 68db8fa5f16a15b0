/**
 * Lesson 11: the program of a call thread.
 *
 * A thread of Node 20 cannot be started from a TypeScript file, and a second language for one file would be
 * worse; so the function below is turned into text and run from that. It must not use anything outside itself.
 *
 *     us ──▶ Call                  one at a time: a module's function
 *     us ──▶ Builtin[]             many at a time: they cost nothing but the message
 *     us ◀── Done, Done[], Output
 *
 * Invariants: a call's output comes before its Done; no more than `window` bytes of output are under way, for
 * then the thread sleeps in `write` until we have taken some: backpressure for a loop that only prints.
 * Left out: telling a call's output from what an earlier call's timers print in the same thread.
 * Test: test/11-worker.exec.test.ts
 */
import type * as Threads from "node:worker_threads";
import type { FailureKind, StreamName } from "./types.ts";

export interface Call {
  readonly id: number;
  /** The module, as a file URL. */
  readonly url: string;
  readonly name: string;
  readonly target: string;
  readonly input: string;
  /** JSON text of the parents' results. */
  readonly inputs: string;
  readonly context: { readonly run: string; readonly job: string; readonly attempt: number };
  readonly env: Readonly<Record<string, string>>;
}

export interface Builtin {
  readonly id: number;
  readonly name: string;
  readonly input: string;
}

export interface Done {
  readonly id: number;
  /** Absent: it succeeded, and `text` is the result as JSON, or empty. */
  readonly kind?: FailureKind;
  readonly text: string;
}

export interface Output {
  readonly id: number;
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
}

export interface ThreadData {
  /** One counter: bytes of output sent and not yet taken. */
  readonly underWay: Int32Array;
  readonly window: number;
  readonly maxResultBytes: number;
}

type Module = Record<string, unknown> & { default?: Record<string, unknown> };

function callThread({ parentPort, workerData }: typeof Threads): void {
  const { underWay, window, maxResultBytes } = workerData as ThreadData;
  const port = parentPort as Threads.MessagePort;
  const PIECE_BYTES = 64 * 1024;
  let current = 0;

  const print = (stream: StreamName, chunk: string | Uint8Array) => {
    const all = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    for (let at = 0; at < all.length; at += PIECE_BYTES) {
      const bytes = Uint8Array.prototype.slice.call(all, at, at + PIECE_BYTES);
      for (let now = Atomics.load(underWay, 0); now > window; now = Atomics.load(underWay, 0)) Atomics.wait(underWay, 0, now);
      Atomics.add(underWay, 0, bytes.length);
      port.postMessage({ id: current, stream, bytes } satisfies Output);
    }
  };
  for (const stream of ["stdout", "stderr"] as const) {
    process[stream].write = ((chunk: string | Uint8Array, encoding?: unknown, then?: unknown) => {
      print(stream, chunk);
      const callback = typeof encoding === "function" ? encoding : then;
      if (typeof callback === "function") process.nextTick(callback as () => void);
      return true;
    }) as typeof process.stdout.write;
  }

  const describe = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  /** JSON of a function's value, or what is wrong with it. */
  const encode = (id: number, value: unknown): Done => {
    let text: string;
    try {
      text = JSON.stringify(value) ?? "";
    } catch (error) {
      return { id, kind: "bad-input", text: `Cannot keep the result: it is not JSON (${describe(error)})` };
    }
    const bytes = Buffer.byteLength(text);
    if (bytes > maxResultBytes) return { id, kind: "bad-input", text: `Cannot keep the result: ${bytes} bytes exceed ${maxResultBytes}` };
    return { id, text };
  };

  const run = async (call: Call): Promise<Done> => {
    const { id, target } = call;
    let input: unknown;
    try {
      input = call.input === "" ? undefined : JSON.parse(call.input);
    } catch (error) {
      return { id, kind: "bad-input", text: `Cannot call ${target}: its input is not JSON (${describe(error)})` };
    }
    try {
      for (const name of Object.keys(process.env)) if (!(name in call.env)) delete process.env[name];
      Object.assign(process.env, call.env);
      const module = (await import(call.url)) as Module;
      // A CommonJS module comes as the default export of an empty one.
      const found = module[call.name] ?? module.default?.[call.name];
      if (typeof found !== "function") {
        const names = [...new Set([...Object.keys(module), ...Object.keys(module.default ?? {})])].sort().join(", ");
        return { id, kind: "not-found", text: `Cannot call ${target}: no such function; the module exports ${names || "nothing"}` };
      }
      const log = (text: unknown) => print("stdout", `${String(text)}\n`);
      const value = await found(input, { ...call.context, inputs: JSON.parse(call.inputs), log });
      return encode(id, value);
    } catch (error) {
      if (error instanceof Error) print("stderr", `${error.stack}\n`);
      return { id, kind: "exit", text: `threw ${describe(error)}` };
    }
  };

  const builtin = ({ id, name, input }: Builtin): Done => {
    try {
      const value: unknown = input === "" ? undefined : JSON.parse(input);
      if (name === "fail") return { id, kind: "exit", text: typeof value === "string" ? value : "titan:fail was asked to fail" };
      return name === "echo" ? encode(id, value) : { id, text: "" };
    } catch (error) {
      return { id, kind: "bad-input", text: `Cannot call titan:${name}: its input is not JSON (${describe(error)})` };
    }
  };

  port.on("message", (message: Call | readonly Builtin[]) => {
    if (Array.isArray(message)) return port.postMessage(message.map(builtin));
    const call = message as Call;
    current = call.id;
    void run(call).then((done) => port.postMessage(done));
  });
}

/**
 * The compilers call helpers of theirs in the text: esbuild (under `tsx`) wraps named functions in `__name`, tsc wraps
 * the argument of `import()`, which it might have to rewrite. Neither is of use here.
 */
const HELPERS = "const __name = (f) => f; const __rewriteRelativeImportExtension = (url) => url;";

export const CALL_THREAD = `"use strict"; ${HELPERS} (${callThread})(require("node:worker_threads"));`;
