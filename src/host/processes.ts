/**
 * Lesson 03: other processes, each in a group of its own so that one signal reaches the whole tree.
 *
 * Test: test/03-host.test.ts
 */
import { spawn } from "node:child_process";
import type { Child, Exit, Processes, SpawnOptions } from "./types.ts";

export function nodeProcesses(): Processes {
  return { spawn: start };
}

function start(options: SpawnOptions): Child {
  const [program = "", ...args] = options.argv;
  let exited = false;
  let failure: (Error & { code?: string }) | undefined;
  const finish = (code: number | null, signal: string | null): void => {
    if (exited) return;
    exited = true;
    const exit: Exit = failure === undefined ? { code, signal } : { code: null, signal: null, error: failure };
    options.onExit(exit);
  };
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.on("error", (error) => {
    if (child.pid !== undefined) return;
    failure = error;
    finish(null, null);
  });
  // "close" and not "exit": output that is still in the pipe belongs to the attempt.
  child.on("close", finish);
  child.stdout.on("data", (bytes: Buffer) => options.onOutput("stdout", bytes));
  child.stderr.on("data", (bytes: Buffer) => options.onOutput("stderr", bytes));
  return {
    pid: child.pid,
    signal: (name) => {
      if (exited || child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // The group ended between the last event and now; its exit is on the way.
      }
    },
    pause: () => {
      child.stdout.pause();
      child.stderr.pause();
    },
    resume: () => {
      child.stdout.resume();
      child.stderr.resume();
    },
  };
}
