/**
 * Lesson 15: the store, for jobs: `import { connectStore } from "titan/store"`.
 *
 *     const store = await connectStore();
 *     await store.call("INCR", "visits");
 *     store.close();
 *
 * The worker chooses the store: it puts the URL into TITAN_STORE. The same line works with a Redis
 * behind it.
 *
 * Test: test/15-store.cluster.test.ts
 */
import { nodeHost } from "#host";
import { StoreClient, StoreError, type StoreClientOptions } from "#store";

export { StoreClient, StoreError, type Argument, type Listener, type Value } from "#store";

/** The options of `StoreClient`; each has a default. */
export type ConnectStoreOptions = Partial<StoreClientOptions>;

/**
 * Connects to the store of the cluster that runs this job, which TITAN_STORE names. Close it: an
 * open connection keeps a process from ending.
 *
 * @throws {StoreError} NOSTORE (no URL given, and TITAN_STORE is not set), UNREACHABLE, or the
 *   store's error (WRONGPASS, …)
 * @throws {StoreUrlError}
 */
export async function connectStore(options: ConnectStoreOptions = {}): Promise<StoreClient> {
  const url = options.url ?? process.env["TITAN_STORE"];
  if (url === undefined || url === "") {
    const why = "TITAN_STORE is not set, so this cluster has none (or this is no job of it)";
    throw new StoreError(`Cannot connect to the store: ${why}`, "NOSTORE");
  }
  return StoreClient.connect({ host: nodeHost(), ...options, url });
}
