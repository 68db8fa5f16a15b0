/**
 * Lesson 11: the part of a worker that runs jobs, and knows nothing of masters.
 *
 *     start ──▶ a program: process-attempt.ts, or a call: call-pool.ts
 *
 * Invariant: after `close` nothing is left of any attempt.
 * Test: test/11-worker.exec.test.ts
 */
import { join } from "node:path";
import { FreshSet } from "#base";
import { removeShared } from "#host";
import { holdProject } from "#project";
import { CallPool } from "./call-pool.ts";
import { linkPackage } from "./package-link.ts";
import { failure, ProcessAttempt, type Failure } from "./process-attempt.ts";
import { safeName } from "./safe-name.ts";
import { sharedFolder, sharedRuns } from "./shared-runs.ts";
import { sharedBy, type ExecutorOptions } from "./shared.ts";
import type { ExecRequest, OnOutput, Running } from "./types.ts";

/** An executor as a worker needs it, real or simulated. */
export interface Executor {
  /** Starts an attempt. `onOutput` is never called before this has returned. */
  start(request: ExecRequest, onOutput: OnOutput): Running;
  /** Kills everything, removes all work folders. */
  close(): Promise<void>;
}

export interface LocalExecutor extends Executor {
  /** The run is over: removes the folder that its jobs shared. Never rejects. */
  endRun(run: string, cluster?: string): Promise<void>;
  /** The runs of a cluster that have shared folders on this machine, also those of dead workers. */
  sharedRuns(cluster: string): string[];
  /**
   * Lets jobs import "titan/store": programs, and calls from this folder. Throws when the link
   * cannot be made.
   */
  linkPackage(cacheDir: string): Promise<void>;
}

/**
 * Makes an executor: the part of a worker that runs jobs and knows nothing of masters.
 *
 * @example
 * ```ts
 * import { createExecutor } from "#exec";
 * import { nodeWorkerHost } from "#process";
 * const executor = createExecutor({ host: nodeWorkerHost(), workDir: "/tmp/titan-example" });
 * const names = { run: "r-1", job: "hello", attempt: 1, worker: "w-1" };
 * const request = { ...names, env: {}, timeoutMs: 5000, inputs: [] };
 * const action = { type: "shell", script: `printf 42 > "$TITAN_OUTPUT"` } as const;
 * const { status, result } = await executor.start({ ...request, action }, () => {}).done;
 * await executor.close();
 * status // => 'ok'
 * String(result) // => '42'
 * ```
 */
export function createExecutor(options: ExecutorOptions): LocalExecutor {
  const shared = sharedBy(options);
  const { sharedRoot, workDir } = shared;
  const { callProcesses: processes = 8 } = options;
  const calls = new CallPool({ host: options.host, processes, env: shared.baseEnv });
  const running = new FreshSet<Running>();
  let closed = false;

  return {
    start(request, onOutput) {
      const attempt: Running = closed
        ? over(failure("internal", "the worker is shutting down"))
        : request.action.type === "call"
          ? calls.start({ request, action: request.action, baseEnv: shared.baseEnv }, onOutput)
          : new ProcessAttempt(shared, { request, onOutput });
      running.add(attempt);
      const release = request.project === undefined ? undefined : holdProject(request.project);
      void attempt.done.then(() => {
        running.delete(attempt);
        release?.();
      });
      return attempt;
    },
    async endRun(run, cluster) {
      await shared.remove(join(workDir, safeName(run)));
      if (sharedRoot === undefined || cluster === undefined) return;
      await removeShared(sharedFolder(sharedRoot, cluster, run)).catch((error: Error) => {
        options.onNote?.(`Cannot remove what the jobs of ${run} shared: ${error.message}`);
      });
    },
    sharedRuns: (cluster) => (sharedRoot === undefined ? [] : sharedRuns(sharedRoot, cluster)),
    linkPackage: async (cacheDir) => {
      // An executor with simulated folders has no real folder to put a link into.
      if (options.folders !== undefined) return;
      // Node looks for a package beside a file and above it: programs are below the first folder,
      // modules of calls below the second.
      for (const folder of [workDir, cacheDir]) {
        await linkPackage(options.host, { cacheDir: folder });
      }
    },
    async close() {
      closed = true;
      const open = [...running];
      for (const attempt of open) {
        if (attempt instanceof ProcessAttempt) attempt.kill("the worker is shutting down");
        else attempt.cancel("the worker is shutting down");
      }
      await Promise.all(open.map((attempt) => attempt.done));
      await calls.close();
      await shared.remove(workDir);
    },
  };
}

/** An attempt that ended before it began. */
function over(why: Failure): Running {
  return {
    cancel() {},
    pauseOutput() {},
    resumeOutput() {},
    done: Promise.resolve({ status: "failed", ...why, durationMs: 0 }),
  };
}
