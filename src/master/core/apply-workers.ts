/**
 * Lesson 10: how workers come, learn, are drained and go.
 *
 * Test: test/10-master.test.ts
 */
import { FreshSet, invariant } from "#base";
import type { EventOf } from "./events.ts";
import { freePinned, registerWorker } from "./jobs.ts";
import { routedTags } from "./knowledge.ts";
import { launchCame, launchLost, launchWanted } from "./launch-state.ts";
import type { State } from "./state.ts";

export function workerJoined(state: State, event: EventOf<"WorkerJoined">): void {
  const { worker: id, at: joinedAt, type: _, ...offer } = event;
  state.nextWorker = id + 1;
  // A start that was given up, and that came all the same, gets nothing to do.
  const draining = launchCame(state, event) === "stopping";
  registerWorker(state, { id, ...offer, joinedAt, jobs: new FreshSet(), draining });
}

export function workerKnows(state: State, event: EventOf<"WorkerKnows">): void {
  const worker = state.workers.get(event.worker);
  invariant(worker !== undefined, "only a registered worker learns");
  worker.knows = [...new Set([...worker.knows, ...event.knows])];
  state.router.addTags(worker.id, routedTags(worker));
}

export function workerLost(state: State, event: EventOf<"WorkerLost">): void {
  const worker = state.workers.get(event.worker);
  invariant(
    worker !== undefined && worker.jobs.size === 0,
    "a worker leaves once each of its attempts has an ending",
  );
  state.workers.delete(worker.id);
  launchLost(state, event);
  const { instance } = worker;
  if (state.workersByInstance.get(instance) === worker) state.workersByInstance.delete(instance);
  state.router.removeWorker(worker.id);
  freePinned(state, worker.id);
}

export function workerDrained(state: State, event: EventOf<"WorkerDrained">): void {
  const worker = state.workers.get(event.worker);
  invariant(worker !== undefined, "only a registered worker is drained");
  worker.draining = event.on;
  if (!event.on) launchWanted(state, event.worker);
  state.router.setDraining(worker.id, event.on);
  if (event.on) freePinned(state, worker.id);
}
