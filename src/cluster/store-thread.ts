/**
 * The program of the store's thread in `titan up`. Only store-embedded.ts starts it.
 *
 *     owner ──▶ options          the password among them: the data of a thread shows nowhere
 *     owner ◀── ready | failed   once
 *     owner ──▶ "stop"           answers leave, the log is flushed, the thread ends; one that is
 *                                loading has promised nothing, and ends at once
 *     owner ◀── full             the disk is full, or has room again
 *     owner ◀── fatal            the disk has failed; the thread ends
 *
 * Invariants: the process holds the folder's lock (the thread's owner does): a thread that dies
 * cannot give a lock back, and the next thread would find it held by a process that lives.
 * Test: test/cli.store.test.ts
 */
import { parentPort } from "node:worker_threads";
import { nodeHost, type Host } from "#host";
import "#store"; // store-serve.ts needs it with the task, and until that comes there is time
import {
  serveStore,
  type ServedStore,
  type ServeStoreOptions,
  type StoreRecovered,
} from "./store-serve.ts";
import { storeFailure, type StoreFailure } from "./store-failure.ts";

export type FromThread =
  | {
      readonly kind: "ready";
      readonly host: string;
      readonly port: number;
      readonly recovered: StoreRecovered;
    }
  | { readonly kind: "full"; readonly why: string | undefined }
  | { readonly kind: "failed" | "fatal"; readonly error: StoreFailure };

const owner = parentPort!;
const say = (message: FromThread): void => owner.postMessage(message);
let served: ServedStore | undefined;

owner.on("message", (message: ServeStoreOptions | "stop") => {
  void (message === "stop" ? stop() : start(message));
});

async function start(options: ServeStoreOptions): Promise<void> {
  const real = nodeHost();
  const lock = async () => ({ release: async () => undefined });
  const host: Host = { ...real, storage: { ...real.storage, lock } };
  try {
    served = await serveStore({
      ...options,
      host,
      onFatal: (error) => end({ kind: "fatal", error: storeFailure(error) }),
      onFull: (why) => say({ kind: "full", why }),
    });
  } catch (error) {
    return end({ kind: "failed", error: storeFailure(error as Error) });
  }
  say({ kind: "ready", host: served.host, port: served.port, recovered: served.recovered });
}

async function stop(): Promise<void> {
  await served?.close().catch((error: Error) => {
    say({ kind: "fatal", error: storeFailure(error) });
  });
  process.exit(); // in a thread: ends this thread
}

function end(message: FromThread): void {
  say(message);
  process.exit(1);
}
