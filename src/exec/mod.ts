/**
 * Lesson 11: running things. `createExecutor` runs one attempt after another, or many at once:
 * programs in processes of their own, functions in warm processes. It knows nothing of masters and
 * networks. Programs are started by `src/process`; the folder they find is kept by `src/project`.
 *
 *     executor.ts     all attempts of a worker; shared.ts what they share
 *     process-attempt.ts   one of them: folder, timeout, cancellation, result
 *     process-job.ts  what program an action means, and its environment
 *     check.ts        the check program of a service, beside it
 *     shared-runs.ts  TITAN_SHARED; safe-name.ts how ids become names of files
 *     call-pool.ts    functions in warm processes: call-attempt.ts one of them, call-thread.ts
 *                     their programs, call-wire.ts their pipes, call-encode.ts their results,
 *                     call-builtins.ts titan:noop
 *     package-link.ts what a job finds there when it imports "titan-orchestrator"
 *     python-path.ts  what it finds when it imports titan_job in Python
 *     types.ts        what goes into an attempt, and what comes out
 *     runtime.ts      what Deno has to be told
 *
 * Left out: Windows, which has neither process groups nor signals.
 * Test: test/11-worker.exec.test.ts
 */
export { createExecutor, type Executor, type LocalExecutor } from "./executor.ts";
export type { ExecutorOptions } from "./shared.ts";
export {
  KILL_GRACE_MS,
  MAX_RESULT_BYTES,
  type ClusterEndpoints,
  type ExecOutcome,
  type ExecRequest,
  type Running,
} from "./types.ts";
export { removeSharedRuns } from "./shared-runs.ts";
export { linkPackage } from "./package-link.ts";
