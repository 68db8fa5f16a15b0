/**
 * The program of the store's thread in `titan up`. Only store-embedded.ts starts it.
 *
 *     owner ──▶ options          the password among them: a thread's data shows nowhere
 *     owner ◀── ready | failed   once
 *     owner ──▶ "stop"           answers leave, the log is flushed, the thread ends
 *     owner ◀── full             the disk is, or has room again
 *     owner ◀── fatal            the disk has failed; the thread ends
 *
 * Invariants: the folder's lock is the process's (its owner holds it): a thread that dies cannot give one back, and the next
 * one would find it held by a process that lives.
 * Test: test/cli.store.test.ts
 */
import { parentPort } from "node:worker_threads";
import { nodeHost, type Host } from "#host";
import { serveStore, type ServedStore, type ServeStoreOptions, type StoreRecovered } from "./store-serve.ts";
import { trouble, type StoreTrouble } from "./store-trouble.ts";

export type FromThread =
  | { readonly kind: "ready"; readonly host: string; readonly port: number; readonly recovered: StoreRecovered }
  | { readonly kind: "full"; readonly why: string | undefined }
  | { readonly kind: "failed" | "fatal"; readonly error: StoreTrouble };

const owner = parentPort!;
const say = (message: FromThread): void => owner.postMessage(message);
let served: ServedStore | undefined;

owner.on("message", (message: ServeStoreOptions | "stop") => void (message === "stop" ? stop() : start(message)));

async function start(options: ServeStoreOptions): Promise<void> {
  const real = nodeHost();
  const host: Host = { ...real, storage: { ...real.storage, lock: async () => ({ release: async () => undefined }) } };
  try {
    served = await serveStore({
      ...options, host,
      onFatal: (error) => end({ kind: "fatal", error: trouble(error) }),
      onFull: (why) => say({ kind: "full", why }),
    });
  } catch (error) {
    return end({ kind: "failed", error: trouble(error as Error) });
  }
  say({ kind: "ready", host: served.host, port: served.port, recovered: served.recovered });
}

async function stop(): Promise<void> {
  await served?.close().catch((error: Error) => say({ kind: "fatal", error: trouble(error) }));
  process.exit(); // of a thread: this thread
}

function end(message: FromThread): void {
  say(message);
  process.exit(1);
}
