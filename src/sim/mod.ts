/**
 * Lesson 03: a simulated machine room.
 *
 *     SimWorld(seed)
 *       ├─ virtual time      one queue of events for all hosts
 *       ├─ chance            one stream for the network, one for each host, all from the seed
 *       ├─ network           named hosts, delays, cuts, one-way silence
 *       └─ host(name)        a `Host`: disk that forgets what was not synced, scripted programs
 *
 * The code under test is the real code: it is handed a `Host` and cannot tell. A run is a function of its seed, so the
 * trace of a failure is the failure, and can be looked at as often as one likes.
 *
 * Invariants: same seed and same calls, byte-identical `trace`; a crashed host never acts again.
 * Left out: lying disks, skewed clocks, search and shrinking of seeds (lesson 22).
 * Test: test/03-host.test.ts
 */
export type { DiskOperation } from "./faults.ts";
export type { LiveProgram, SimProcess, SimProgram } from "./processes.ts";
export { SimWorld, type SimOptions } from "./world.ts";
