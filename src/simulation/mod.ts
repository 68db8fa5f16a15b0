/**
 * Lesson 22: the whole cluster, simulated: thousands of lives in which everything goes wrong, each
 * repeatable from its seed.
 *
 *     plan.ts        what a life will be asked to survive           ← start here
 *     plan-text.ts   a plan as a person reads it
 *     generate.ts    from a seed to a plan; generate-jobs.ts: its pipelines;
 *                    generate-services.ts: its services; generate-pools.ts: its pools; prng.ts:
 *                    chance, in the words of a plan
 *     invariants.ts  the judge; invariants-list.ts: the promises by name;
 *                    invariants-fold.ts: the log folded by `apply`;
 *                    invariants-clients.ts: what clients were told
 *     model.ts       a second opinion on the log; model-state.ts: what it remembers;
 *                    model-runs.ts: its runs; model-growth.ts: jobs that come to them;
 *                    model-checks.ts: what may happen to an attempt; model-services.ts: to a
 *                    service; model-gates.ts: to a gate; model-steps.ts: to a step;
 *                    model-agents.ts: to a job that adds jobs, asks or waits; model-budgets.ts: to
 *                    what agent runs use up; model-pools.ts: to the workers of pools;
 *                    model-workers.ts: to all; model-versions.ts: to the versions of a service
 *     events.ts      what a master left on disk; durable-view.ts: the disk after a
 *                    power cut
 *     stage.ts       what the parts of one life share
 *     step-ledger.ts jobs that take durable steps, and what the world has seen of them
 *     cluster.ts     master and workers, and the supervisor that starts them again
 *     cloud.ts       where the machines of pools come from; pools.ts: how the master orders them
 *     programs.ts    what jobs do; ports.ts: where services among them listen; agents.ts: jobs that
 *                    add jobs, ask and wait
 *     clients.ts     who submits and asks; steps.ts: what they ask for; ending.ts: the end of it
 *     scene.ts       what clients need of their world: so that scripts/chaos can give them another
 *     faults.ts      what goes wrong
 *     log-watch.ts   every event, when it is durable; wire-tap.ts: what a worker and its master say
 *     simulate.ts    the two phases: nothing wrong happens, and in the end everything has
 *     shrink.ts      a plan that breaks something, made small
 *
 * The master, the workers, the log, the rpc layer and the executor are the real ones. Only the
 * things that they are given are simulated: the `Host` (#simhost), the programs, the work folders.
 *
 * Invariants: a life is a function of its plan; the judge does not ask the master what is right.
 * Left out: calls (threads are not simulated), several masters, disks that lie about a sync.
 * Test: test/22-simulation.test.ts
 */
export { PatientClient } from "./clients.ts";
export { bringToEnd } from "./ending.ts";
export { faultText } from "./faults.ts";
export { generatePipeline } from "./generate-jobs.ts";
export {
  generateEndless, generateFault, generatePlan, generateSteps, type Room,
} from "./generate.ts";
export {
  INVARIANTS, Judge, readLogEvents, Violation,
  type Acknowledgement, type Invariant, type LogEvents,
} from "./invariants.ts";
export {
  END_FATES, FAULT_KINDS, jobSpecOf, ORDER_FATES,
  type Fault, type FaultKind, type JobPlan, type PipelinePlan, type Plan, type Step,
} from "./plan.ts";
export { planLines } from "./plan-text.ts";
export { Prng } from "./prng.ts";
export { readScript } from "./programs.ts";
export type { Broken, Scene } from "./scene.ts";
export { shrink, type Shrunk } from "./shrink.ts";
export { simulate, type Outcome } from "./simulate.ts";
export { Steps } from "./steps.ts";
