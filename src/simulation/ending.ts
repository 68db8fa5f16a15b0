/**
 * Lesson 22: the last part of a life: nothing breaks any more, and all work is brought to its end.
 *
 * A client does what people would do for the runs: it answers gates, undoes drains, and cancels
 * jobs that only a cancel ends. Then it looks at everything once more, and tells the judge.
 *
 * Test: test/22-simulation.test.ts
 */
import { BUDGET_KINDS, isOpenRun, isTerminal, type JobInfo } from "#wire";
import type { PatientClient } from "./clients.ts";
import type { Scene } from "./scene.ts";
import type { Steps } from "./steps.ts";

/** What a budget is raised by: jobs, steps or tokens, and time. */
const [MORE, MORE_MS] = [20, 60_000];
const KEYS = {
  jobs: "jobs", depth: "depth", fan_out: "fanOut", steps: "steps", tokens: "tokens",
  usd: "usdMicros", deadline: "deadlineAt",
} as const;

/** Between two looks at whether all runs have ended. */
const POLL_MS = 400;

interface EndingOptions {
  readonly client: PatientClient;
  readonly steps: Steps;
  /**
   * Nothing goes on, as far as the log and the machines say: a request that a client gave up may
   * still arrive and start something.
   */
  readonly isQuiet: () => boolean;
}

/** Resolves when every accepted run has ended and all is quiet. */
export async function bringToEnd(scene: Scene, options: EndingOptions): Promise<void> {
  const { client, isQuiet } = options;
  for (;;) {
    if (isQuiet() && (await allEnded(scene, options)) && isQuiet()) return;
    const gates = await client.perform("lists gates", (master) => master.gates());
    if (gates.ok) {
      for (const { id } of gates.value) {
        // As many people as a gate can want here.
        for (const by of ["keeper", "keeper's friend", "keeper's mother"]) {
          await client.perform("approves", (master) => master.decide(id, { approve: true, by }));
        }
      }
    }
    await raiseBudgets(client);
    // Work that only a drained worker may do would wait for ever, as it should.
    const workers = await client.perform("lists workers", (master) => master.workers());
    const isOurs = ({ name }: { name: string }): boolean =>
      scene.plan.workers.some((worker) => worker.name === name);
    // Those of pools are drained by the master, which then ends them.
    const drained = workers.ok
      ? workers.value.filter((worker) => worker.draining && isOurs(worker))
      : [];
    for (const { id } of drained) {
      await client.perform("ends a drain", (master) => master.drain(String(id), { undo: true }));
    }
    for (const run of await withServices(scene, options)) {
      await stopOnceReady(client, run);
    }
    for (const run of endless(scene, options)) {
      await client.perform("cancels what has no end", (master) => master.cancel(run));
    }
    await new Promise<void>((resolve) => void scene.after(POLL_MS, resolve));
  }
}

/** More of everything for agent runs that have used up their budgets. */
async function raiseBudgets(client: PatientClient): Promise<void> {
  const agents = await client.perform("lists agents", (master) => master.agents());
  if (!agents.ok) return;
  for (const { id, status, limits } of agents.value) {
    if (!isOpenRun(status)) continue;
    const kinds = BUDGET_KINDS.filter((what) => limits[KEYS[what]] !== undefined);
    const changes = kinds.map((what) =>
      ({ what, add: true, amount: what === "deadline" ? MORE_MS : MORE }));
    if (changes.length === 0) continue;
    await client.perform("raises a budget", (master) => master.raiseBudget(id, changes, {}));
  }
}

/** Runs with a job that only a cancel ends. */
function endless({ plan }: Scene, { steps }: EndingOptions): string[] {
  const pipelines = plan.pipelines.filter(({ jobs }) =>
    jobs.some(({ does }) => does.startsWith("forever")),
  );
  return pipelines.flatMap(({ key }) => steps.runs.get(key) ?? []);
}

/**
 * Of a deployed service only the current version: one that was replaced must end by itself, and one
 * that is to take over must do so, or be given up.
 */
async function withServices(
  { plan }: Scene, { steps, client }: EndingOptions,
): Promise<string[]> {
  const services = plan.pipelines.map(({ key, jobs }) =>
    ({ key, jobs: jobs.filter(({ service }) => service !== undefined) }));
  const isOwn = ({ jobs }: (typeof services)[number]): boolean =>
    jobs.length > 0 && jobs.every(({ service }) => service!.deployed === undefined);
  const own = services.filter(isOwn).flatMap(({ key }) => steps.runs.get(key) ?? []);
  if (!services.some(({ jobs }) => jobs.some(({ service }) => service!.deployed))) return own;
  const rows = await client.perform("lists services", (master) => master.services());
  const deployed = rows.ok
    ? rows.value.filter((row) => row.deployed && row.current && !isTerminal(row.status))
    : [];
  return [...own, ...new Set(deployed.map(({ run }) => run))];
}

/**
 * A service that somebody wants is READY again once nothing breaks any more: only then does a
 * person stop it. If it never is, this life does not end, which breaks a promise. One that waits
 * for a slot may wait for the end of another service.
 */
async function stopOnceReady(client: PatientClient, run: string): Promise<void> {
  const status = await client.perform(`looks at ${run}`, (master) => master.status(run));
  if (!status.ok || !isOpenRun(status.value.run.status)) return;
  const open = status.value.jobs.filter(({ status: now }) => !isTerminal(now));
  const isWell = ({ service, status: now, reason }: JobInfo): boolean =>
    service?.phase === "READY" || (now === "PENDING" && !reason.startsWith("restarts in"));
  const services = open.filter(({ service, id }) => service !== undefined || id.startsWith("s"));
  if (services.length === 0 || !services.every(isWell)) return;
  await client.perform(`stops ${run}`, (master) => master.stop(run, { by: "keeper" }));
}

/** Looks at all runs once more, as the master shows them to a client. */
async function allEnded(scene: Scene, { client, steps }: EndingOptions): Promise<boolean> {
  if (scene.diskIsFull) return false; // The master tries again to write within seconds.
  const runs = await client.perform("lists runs", (master) => master.runs());
  if (!runs.ok || runs.value.some(({ status }) => isOpenRun(status))) return false;
  for (const run of steps.runs.values()) {
    const status = await client.perform(`looks at ${run}`, (master) => master.status(run));
    if (!status.ok) {
      scene.breaks(
        "acknowledged-is-durable",
        `${run} was acknowledged, and now: ${status.refused.message}`,
      );
      return false;
    }
    for (const { id: job, status: now, attempt } of status.value.jobs) {
      scene.ask(() => scene.judge.seen({ run, job, status: now, attempt }));
    }
  }
  const info = await client.perform("asks for the hash", (master) => master.info({ hash: true }));
  if (info.ok) {
    const { nextSeq, stateHash: hash } = info.value;
    scene.ask(() => scene.judge.hash({ seq: nextSeq - 1, hash }));
  }
  return true;
}
