/**
 * Lesson 10: the owner's side of the thread that reads the log for those who look back.
 *
 * To fold a million facts takes seconds, and a second state beside the master's own as much memory
 * again. In a thread neither is the master's: its loop goes on, and a thread that needs more than
 * its heap dies alone.
 *
 * Invariants: one thread at a time; each question has an answer, also when the thread dies.
 * Test: test/cli.past-thread.test.ts
 */
import type { Worker } from "node:worker_threads";
import type { PastQuestion, PastReader } from "#master";
import type { FromPast, PastError, PastWork } from "./past-thread.ts";
import { newThread, shareOfMemory } from "./thread.ts";

/**
 * Of the heap, what checkpoints may have: as much again is for the state at the end of the log and
 * that of the visit, and as much for what V8 has not collected yet.
 */
const CHECKPOINT_SHARE = 1 / 3;
/** To read a block and to fold it is a matter of milliseconds; to load the modules, of a second. */
const STOP_MS = 4000;
/** A visit makes a whole state: with little room for new objects, they are moved about twice. */
const YOUNG_MB = 128;

interface Asker {
  readonly resolve: (pages: Buffer[]) => void;
  readonly reject: (error: Error) => void;
}

/** A thread, and those who wait for its answers. */
interface Live {
  readonly thread: Worker;
  readonly askers: Map<number, Asker>;
}

/** `dir`: the folder of the log. The master and the store live in the same memory. */
export function readInThread(
  dir: string, heapMb = shareOfMemory(1 / 4, { leastMb: 256 }),
): PastReader {
  let ids = 0;
  let live: Live | undefined;
  const start = (): Live => {
    const started = startThread(dir, heapMb);
    started.thread.once("exit", () => {
      if (live === started) live = undefined;
    });
    return started;
  };
  return {
    ask: (question: PastQuestion) => new Promise((resolve, reject) => {
      const id = ++ids;
      const { thread, askers } = live ??= start();
      askers.set(id, { resolve, reject });
      thread.ref(); // a process goes on as long as somebody waits for an answer
      thread.postMessage({ id, ...question });
    }),
    // It is asked: Node may abort this whole process when it ends a thread in the middle of a call
    // of the file system.
    async close() {
      const thread = live?.thread;
      if (thread === undefined) return;
      const exited = new Promise((resolve) => thread.once("exit", resolve));
      thread.postMessage("stop");
      const timer = setTimeout(() => void thread.terminate(), STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function startThread(dir: string, heapMb: number): Live {
  const askers = new Map<number, Asker>();
  const checkpointBytes = Math.floor(heapMb * 2 ** 20 * CHECKPOINT_SHARE);
  const workerData: PastWork = { dir, checkpointBytes };
  const thread = newThread("past-thread", { workerData, heapMb, youngMb: YOUNG_MB });
  let why = "the thread that reads the log has ended";
  thread.unref();
  thread.on("error", (error: Error & { code?: string }) => {
    why = error.code === "ERR_WORKER_OUT_OF_MEMORY"
      ? `to fold this log takes more memory than the ${heapMb} MB that there are for it`
      : error.message;
  });
  thread.once("exit", () => {
    for (const { reject } of askers.values()) reject(new Error(why));
    askers.clear();
  });
  thread.on("message", (message: FromPast) => {
    const asker = askers.get(message.id);
    askers.delete(message.id);
    if (askers.size === 0) thread.unref();
    if ("error" in message) asker?.reject(errorOf(message.error));
    else asker?.resolve(message.pages.map((page) => Buffer.from(page)));
  });
  return { thread, askers };
}

/** The master looks at the name and the code. */
function errorOf({ name, code, message }: PastError): Error {
  return Object.assign(new Error(message), { name, code });
}
