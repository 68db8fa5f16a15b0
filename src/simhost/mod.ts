/**
 * Lesson 03: a simulated machine room.
 *
 *     SimWorld(seed)
 *       ├─ virtual time  one queue of events for all hosts
 *       ├─ chance        one stream for the network, one for faults, one for each host, all from
 *       │                the seed
 *       ├─ network       named hosts, delays, cuts, one-way silence, stalls, resets, half-open
 *       │                peers
 *       └─ host(name)    a `Host` on a machine: process, clock, programs, and a disk that forgets
 *                        what was not synced; it stops in three ways: kill, crash, pause
 *
 *     world.ts · machine.ts · clock.ts        the room, one machine in it, and its clock
 *     types.ts                                what these files share
 *     network.ts · link.ts · socket.ts        names and listeners; delays; a connection
 *     disk.ts · disk-image.ts                 a disk as a process sees it; what a power cut leaves
 *     disk-faults.ts                          errors of a disk
 *     processes.ts · trace.ts                 programs that are functions; what happened, as lines
 *
 * The code under test is the real code: it is given a `Host` and cannot tell. A run is a function
 * of its seed, so the trace of a failure is the failure, and can be looked at as often as one
 * likes.
 *
 * Invariants: same seed and same calls, byte-identical `trace`; a dead process never acts again, a
 * stopped one not before it goes on; bytes that were synced stay.
 * Left out: disks that lie about a sync, more than one process on a machine. Search and shrinking
 * of seeds are lesson 22's.
 * Test: test/03-host.sim.test.ts, test/22-simulation.world.test.ts, test/22-simulation.disk.test.ts
 */
export type { Leftover } from "./disk-image.ts";
export type { LiveProgram } from "./machine.ts";
export type { SimOptions, SimProcess, SimProgram } from "./types.ts";
export { SimWorld } from "./world.ts";
