/**
 * Lesson 11: real pipes for a job's output.
 *
 * Node's `stdio: "pipe"` is a pair of sockets, and a socket cannot be opened by name: in a job,
 * `echo oops > /dev/stderr` would fail with ENXIO. Named pipes are opened by path, so they need no
 * native module: `mkfifo` makes a few, we open both ends of each and remove the names.
 *
 * Invariant: no name outlives the call that made it. After a `kill -9` within these few
 * milliseconds the reaper (reaper.ts) removes the folder.
 * Left out: systems without mkfifo get the sockets; so does Bun, whose `Socket` takes a descriptor
 * and reads nothing.
 * Test: test/11-worker.processes.test.ts, test/11-worker.pipes.test.ts
 */
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reapPipes } from "./reaper.ts";

/**
 * Pipes made at once: `mkfifo` costs 2 ms, which four jobs share; more would hold descriptors for
 * nothing.
 */
const BATCH_PIPES = 8;

/** One pipe: we read, the job writes. Close `write` once the child has inherited it. */
export interface Pipe {
  readonly read: Socket;
  readonly write: number;
}

/** Both ends of pipes that nobody uses yet. */
const stock: { reading: number; write: number }[] = [];
/** Where each batch has its names, one after the other. */
let folder: string | undefined;
let unavailable = process.versions["bun"] !== undefined;

/**
 * Stdout and stderr for one child; undefined when this system cannot make named pipes, or not now.
 */
export function openOutputPipes(): { stdout: Pipe; stderr: Pipe } | undefined {
  if (unavailable) return undefined;
  try {
    if (stock.length < 2) makeBatch();
    return { stdout: takePipe(), stderr: takePipe() };
  } catch (error) {
    // A lack of descriptors passes; a missing mkfifo does not.
    if ((error as { code?: string }).code === "ENOENT") unavailable = true;
    return undefined;
  }
}

/** Pipes that were made and not used yet: two descriptors each. */
export function stockedPipes(): number {
  return stock.length;
}

function takePipe(): Pipe {
  const { reading, write } = stock.pop() as { reading: number; write: number };
  return { read: new Socket({ fd: reading, readable: true, writable: false }), write };
}

function makeBatch(): void {
  if (folder === undefined) {
    folder = join(tmpdir(), `titan-pipes-${randomUUID()}`);
    reapPipes(folder);
  }
  mkdirSync(folder, { mode: 0o700 });
  try {
    const names = Array.from({ length: BATCH_PIPES }, (_, i) => `${folder}/${i}`);
    execFileSync("mkfifo", ["-m", "600", ...names], { stdio: "ignore" });
    for (const name of names) {
      // The reading end first, and not blocking: opening a pipe for writing waits for a reader.
      const reading = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        stock.push({ reading, write: openSync(name, constants.O_WRONLY) });
      } catch (error) {
        closeSync(reading);
        throw error;
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
