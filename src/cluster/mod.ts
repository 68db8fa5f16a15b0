/**
 * Lesson 00: a whole cluster from one call, for `titan up`, for `titan run` without a master, for
 * demos and for tests: a master in this process, workers beside it, a store in a thread.
 *
 *     cluster.ts                        the order in which all of it starts and stops
 *     cluster-id.ts                     the cluster that a state folder belongs to
 *     supervisor.ts · self.ts           workers as child processes; how this program starts itself
 *     drivers.ts                        how workers of pools are started and ended (lesson 13)
 *     messenger.ts                      how people are told that a gate is open (lesson 16)
 *     token-file.ts                     the token, for those who are told where it is
 *     cluster-store.ts                  the cluster's store: one of its own, or a server elsewhere
 *     store-embedded.ts · store-thread.ts   its own, in a thread: the owner's side, the thread's
 *     thread.ts                         how a thread of this program is started
 *     past-reader.ts · past-thread.ts   the log, read for those who look back, in a thread as well
 *     store-serve.ts                    a store that serves; `titan store` is it alone
 *     store-failure.ts · errors.ts      why a store, or a cluster, does not start
 *
 * Test: test/cli.cluster.test.ts, test/cli.store.test.ts
 */
export {
  startEmbeddedCluster,
  type ClusterOptions,
  type EmbeddedCluster,
  type PoolsOption,
  type Scale,
} from "./cluster.ts";
export type { StoreChoice } from "./cluster-store.ts";
export { NOTIFY_ALL, type NotifyPolicy } from "./messenger.ts";
export { writeTokenFile } from "./token-file.ts";
export { ClusterError } from "./errors.ts";
export { selfCommand } from "./self.ts";
export { newStoreThread } from "./store-embedded.ts";
export {
  serveStore,
  type ServedStore,
  type ServeStoreOptions,
  type StoreRecovered,
} from "./store-serve.ts";
export { fullText, storeFailure, storeFailureAdvice, storeFailureText } from "./store-failure.ts";
