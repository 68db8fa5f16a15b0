/**
 * Lesson 14: what the name of a deployed service means: its versions, which of them is current, and
 * which are kept for a rollback.
 *
 *     deploy ─▶ current                                      (the name was free)
 *     deploy ─▶ next ──UpdateDone──▶ current ─▶ previous     (the name was in use)
 *                 └───UpdateFailed─▶ gone, and current stays
 *
 * A version is a run. The current and the previous one are not forgotten while the current one goes
 * on, or has failed: that is when somebody wants to go back. After a person has stopped the service
 * they are forgotten as any run, also if it had failed before.
 *
 * Invariants: a name that is known has one current version. When that run is forgotten, the name
 * goes to the newest version that still has a replica there, or is forgotten with it. A run that
 * has ended is in `finished` exactly if nothing here keeps it.
 * Test: test/14-services.versions.test.ts
 */
import { isOpenRun, isTerminal } from "#wire";
import type { Job, NamedService, Run, State } from "./state.ts";

/** A version has jobs with this name: it has the name, or is to have it. */
export function claimName(state: State, run: Run, name: string): void {
  const known = state.names.get(name);
  if (known === undefined) {
    if (run.version === 0) run.version = 1;
    const fresh = { name, current: run, previous: undefined, next: undefined, versions: 1 };
    state.names.set(name, fresh);
    return;
  }
  if (run !== known.current && run !== known.previous && run !== known.next) {
    known.versions += 1;
    if (run.version === 0) run.version = known.versions;
    if (run.update?.outcome === "WAITING") known.next = run;
    else succeed(state, known, run);
  }
  // It may be in use again.
  if (known.previous !== undefined) refile(state, known.previous);
}

/** From now on the name leads to this version. */
export function succeed(state: State, named: NamedService, run: Run): void {
  const { current: old, previous } = named;
  // One that was never READY is nothing to go back to.
  if (wasReady(old, named.name)) named.previous = old;
  named.current = run;
  for (const other of [old, previous]) if (other !== undefined) refile(state, other);
}

function wasReady(run: Run, name: string): boolean {
  return deployedReplicas(run, name).some(({ service }) => service?.settled === true);
}

/** All replicas by this name of the whole cluster, over or not. */
export function deployedReplicas(run: Run, name: string): Job[] {
  return run.replicasOf(name).filter(({ spec }) => spec.service!.deployed);
}

/** The names of the whole cluster that this run has, or has had. */
export function namesOf(run: Run): string[] {
  return [...run.serviceNames].filter((name) => deployedReplicas(run, name).length > 0);
}

/** Those of its replicas that are not over, in their order. */
export function openReplicas(run: Run, name: string): Job[] {
  return run.replicasOf(name).filter(({ status }) => !isTerminal(status));
}

/** Those that stay, unless somebody scales the service down. */
export function stayingReplicas(run: Run, name: string): Job[] {
  return openReplicas(run, name).filter(isStaying);
}

/** Nobody has asked it to end for good. */
export function isStaying({ cancelling, service }: Job): boolean {
  return !cancelling && service?.asked !== "stop" && service?.asked !== "drain";
}

/** It works, and is not about to end. */
export function isUp({ service }: Job): boolean {
  return service?.phase === "READY" && service.asked === "nothing";
}

/** Whether connections may be sent to this replica, by the name of its service. */
export function isReachable(state: State, job: Job): boolean {
  const { run, spec } = job;
  if (!isUp(job)) return false;
  const { name, deployed } = spec.service!;
  return !deployed || state.names.get(name)?.current === run;
}

/** Whether a name of this run leads to another one, which is why it cannot be run again. */
export function heirOf(state: State, run: Run): { name: string; heir: Run } | undefined {
  for (const name of namesOf(run)) {
    const heir = state.names.get(name)?.current;
    if (heir !== undefined && heir !== run) return { name, heir };
  }
  return undefined;
}

// ── what is kept ─────────────────────────────────────────────────────────────────────────────────

/** One of its jobs with this name is over. */
export function nameReleased(state: State, run: Run, name: string): void {
  const named = state.names.get(name);
  if (named?.current === run && named.previous !== undefined) refile(state, named.previous);
}

/** Puts a run that has ended among those that may be forgotten, or takes it out. */
export function refile(state: State, run: Run): void {
  if (isOpenRun(run.status)) return;
  const mayGo = !isKept(state, run);
  if (mayGo === state.finished.has(run)) return;
  if (mayGo) state.finished.add(run);
  else state.finished.delete(run);
  if (mayGo && run.artifacts.size > 0) state.leaving.add(run);
  else state.leaving.delete(run);
  state.finishedBytes += mayGo ? run.bytes : -run.bytes;
}

function isKept(state: State, run: Run): boolean {
  // It has failed, and the update is given up in a moment.
  if (state.updates.has(run)) return true;
  if (!run.hasServices) return false;
  return namesOf(run).some((name) => {
    const named = state.names.get(name);
    if (named === undefined || (named.current !== run && named.previous !== run)) return false;
    return isWanted(named);
  });
}

/**
 * It goes on, or it has failed and there is a version to go back to. Otherwise a person has stopped
 * it, or nothing is left to be wanted.
 */
function isWanted(named: NamedService): boolean {
  const { name, current } = named;
  return keepsForRollback(named) ||
    deployedReplicas(current, name).some(({ status }) => !isTerminal(status));
}

/** The current version has failed, and somebody may want to go back to the one before. */
export function keepsForRollback({ name, current, previous }: NamedService): boolean {
  return previous !== undefined && deployedReplicas(current, name).some(({ status }) =>
    status === "FAILED" || status === "DEAD");
}

/** A person has given up a service that had failed: nobody goes back. */
export function letGo(state: State, name: string): void {
  const { current, previous } = state.names.get(name)!;
  state.names.get(name)!.previous = undefined;
  for (const run of [current, previous]) if (run !== undefined) refile(state, run);
}

/** The one that was submitted last. */
export function newest(runs: readonly Run[]): Run | undefined {
  return runs.reduce<Run | undefined>(
    (best, run) => (best === undefined || run.number > best.number ? run : best), undefined);
}

/** A run is forgotten: no name means it any more. */
export function forgetVersions(state: State, run: Run): void {
  for (const name of namesOf(run)) {
    const named = state.names.get(name);
    if (named?.previous === run) named.previous = undefined;
    if (named?.next === run) named.next = undefined;
    if (named?.current !== run) continue;
    const { previous } = named;
    // It was stopped, and so was an older version, whose process is not gone yet.
    const left = newest([...(state.deployed.get(name) ?? [])].map((job) => job.run));
    if (left === undefined) state.names.delete(name);
    else named.current = left;
    // The new version has the name already: there is nobody whose place it could take.
    if (named.next === named.current) named.next = undefined;
    if (previous !== undefined) refile(state, previous);
  }
}
