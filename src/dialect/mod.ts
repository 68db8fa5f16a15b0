/**
 * Lesson 01: the older dialect, version 1, as a door to the same cluster: clients of the original
 * Titan need no change. Nothing of it is loaded unless `titan up --v1` asks for it.
 *
 *     a frame ─▶ jobs ─▶ a run            SUBMIT_DAG a|RUN_PAYLOAD|…|[] ; b|…|[a]  ─▶  titan runs
 *            └─▶ names ─▶ the newest run  GET_JOB_STATUS DAG-a                     ─▶  COMPLETED
 *
 *     door.ts         peers: one request, one reply, and then the end
 *     frame.ts        eight bytes, and a text
 *     answers.ts      each request, and what answers it; parts.ts what the handlers share
 *     jobs.ts         jobs between pipes, read; plan.ts the same jobs as ours
 *     zip.ts          uploaded projects
 *     names.ts        what a global id means
 *     manifest.ts     the names of DAGs; manifest-door.ts the port at which they are told
 *     runs.ts         submit, status, logs, cancel, stop
 *     keys.ts         keys of clients; gates.ts the four keys of a gate
 *     stats.ts        two pages about the cluster
 *     folder.ts       files that clients have sent
 *
 * It acts through a client of the master, like any other program, and reads nothing of the master
 * but the list of its runs and a few counts.
 *
 * Invariants: texts are those of the original; nothing that was accepted is lost without a word.
 * Left out: workers of version 1, which the master would have to dial. What else differs is listed
 * in docs/coming-from-titan-1.md.
 * Test: test/dialect.cluster.test.ts
 */
export { OldDoor, type DoorOptions, type DoorTo } from "./door.ts";
