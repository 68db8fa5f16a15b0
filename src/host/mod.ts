/**
 * Lesson 03: the host. Time, chance, the network and the disk, behind one interface. A
 * `WorkerHost` starts programs, too (lesson 11).
 *
 * `types.ts` is the interface; `nodeHost()` is the real one. `seededRandom` and `VirtualTime` are
 * the two halves of an unreal one: chance that can be repeated and time that is a number.
 * `src/simhost` builds a whole simulated machine on them.
 *
 *     types.ts                          the interface
 *     node.ts                           the real host, made of the following
 *     time.ts · random.ts · virtual.ts  clock and timers; chance; time as a number
 *     network.ts                        sockets
 *     web.ts                            requests to servers of the web (lessons 16, 18)
 *     storage.ts · file.ts · lock.ts    the disk, a file for a log, one master per folder
 *     file-errors.ts                    errors of the disk, in words
 *     descriptors.ts · heap.ts          how many files, and how much memory, this process may have
 *     version.ts                        its version
 *     workdir.ts · remove-tree.ts       a job's folder, and its removal
 *     project-tree.ts · spare-trees.ts  copies of a project, and when one may serve again
 *     shared-folder.ts                  the folder that the jobs of a run share
 *     port-holder.ts                    who listens on a port (lesson 14)
 *
 * Test: test/03-host.test.ts
 */
export type * from "./types.ts";
export { nodeHost } from "./node.ts";
export { seededRandom } from "./random.ts";
export { VirtualTime } from "./virtual.ts";
export { deliver, HIGH_WATER_BYTES } from "./network.ts";
export { nodeFetch, nodePost, type Fetch, type Post } from "./web.ts";
export { MAX_TIMER_MS } from "./time.ts";
export { unwrittenParts } from "./file.ts";
export {
  lookAt,
  makeLink,
  nodeWorkFolders,
  readSmall,
  setMode,
  type MakeOptions,
  type TreeEntry,
  type WorkFolders,
} from "./workdir.ts";
export {
  findExtras, isUntouched, listTree, SETTLE_MS, stampTree,
  type ProjectTree, type TreeFile, type TreeStamp,
} from "./project-tree.ts";
export { removeTree } from "./remove-tree.ts";
export { fileReason } from "./file-errors.ts";
export { VERSION } from "./version.ts";
export { makeShared, removeShared, sharedRoot, sweepShared } from "./shared-folder.ts";
export { descriptorLimit } from "./descriptors.ts";
export { heapLimit } from "./heap.ts";
export { portHolder } from "./port-holder.ts";
export { identify, isAlive, lock, lockHolder, readHolder } from "./lock.ts";
