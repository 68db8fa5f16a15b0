/**
 * Lesson 10: how many of each thing the master holds at this moment that comes and goes.
 *
 * A leak is a count that does not come back: a follower whose reader has left, the deadline of a
 * job that was cancelled. It harms nobody for days, and no answer of the master's would show it. So
 * the master can be asked, and the tests ask after every scenario.
 *
 * Invariant: with no peer connected and no run going on, every count is 0 (`files`: once closed).
 * Test: test/leaks.test.ts
 */
import { stepBlobs } from "#core";
import type { Services } from "./services.ts";

/** Each a whole number, 0 or more. */
export interface MasterCounts {
  /** Open connections, and requests on them that have no answer yet. */
  readonly connections: number;
  readonly requests: number;
  /** Changes that are not durable yet. */
  readonly unconfirmed: number;
  /** Those who watch a run or follow the log, and what is kept for them. */
  readonly watchers: number;
  readonly backlog: number;
  /** Connections to services that go through here, or are to. */
  readonly forwards: number;
  /** Attempts whose output somebody waits for, and files of output that are open. */
  readonly followers: number;
  readonly files: number;
  /** Workers that are here or expected back, and all that is kept of their connections. */
  readonly members: number;
  readonly links: number;
  /** Registered workers, and their places in the router's classes. */
  readonly workers: number;
  readonly classes: number;
  readonly seats: number;
  /** Entries of queues and timers, dead ones included. */
  readonly ready: number;
  readonly delayed: number;
  readonly gates: number;
  /** Jobs that have ended an attempt to wait, and deadlines of questions. */
  readonly paused: number;
  readonly closing: number;
  /** Requirements that runs which go on have. */
  readonly requirements: number;
  /** Blobs that others than runs need, and files that are still to be removed. */
  readonly held: number;
  readonly leftovers: number;
}

/** Costs what there is of connections, workers, runs and steps, and nothing for other jobs. */
export function countsOf(services: Services): MasterCounts {
  const { engine, watchers, output, workers, blobs } = services;
  const { state } = engine;
  const connections = [...services.doors.connections()];
  const needed = new Set<string | undefined>(state.contents.keys());
  for (const run of state.runs.values()) {
    needed.add(run.spec.project);
    if (run.steps > 0) for (const blob of stepBlobs(run)) needed.add(blob);
  }
  needed.delete(undefined);
  let requests = 0;
  for (const connection of connections) requests += connection.conversations;
  return {
    connections: connections.length,
    requests,
    unconfirmed: engine.unconfirmed,
    watchers: watchers.size + services.facts.size,
    backlog: watchers.backlog + services.facts.bytes,
    forwards: services.forwards.size,
    followers: output.followers,
    files: output.files,
    members: workers.members,
    links: workers.remembered,
    workers: state.workers.size,
    classes: state.router.classes,
    seats: state.router.seats,
    ready: state.ready.size,
    delayed: state.delayed.size,
    gates: state.gates.size + state.asks.size,
    paused: state.paused.size,
    closing: state.closing.size,
    requirements: state.requirements.size,
    held: blobs.held - needed.size,
    leftovers: output.leftovers + blobs.leftovers,
  };
}
