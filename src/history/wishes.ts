/**
 * Lesson 10: the commands in a few words, each as somebody's wish.
 *
 * Test: test/10-master.history.test.ts
 */
import type { Command } from "#core";

const WISHES: Readonly<Record<Command["type"], string>> = {
  Submit: "a person submits a pipeline", AddJobs: "somebody adds jobs to a run",
  Cancel: "a person cancels", Retry: "a person gives jobs another chance",
  Fork: "a person begins a run with the steps of another one",
  DecideGate: "a person answers", Drain: "a person wants a worker to get nothing new",
  Stop: "a person stops a service", Restart: "a person restarts a service",
  Scale: "a person changes the number of replicas", Rollback: "a person wants the version before",
  RaiseBudget: "a person raises a budget", CancelGroup: "a person cancels an agent run",
  Spawn: "a job adds jobs to its run", Wait: "a job is about to pause", Ask: "a job asks people",
  PutArtifact: "a file has arrived", RemoveArtifact: "a person removes an artifact",
  CollectArtifacts: "a person removes old artifacts",
  MakeArtifactRoom: "an upload needs room on the disk",
  Join: "a worker registers", Rejoin: "a worker is back", Lose: "a worker is given up",
  Finish: "a worker reports the end of an attempt", Health: "a worker says how a service is",
  LoseOutput: "output could not be stored",
  StartStep: "a job is about to run a step", EndStep: "a job has run a step",
  NoticeTried: "a message to people was tried",
  Launch: "a pool wants a worker more", Retire: "a worker of a pool is to end when it is idle",
  AnswerLaunch: "the order for a worker was taken", StopLaunch: "a worker of a pool is to end",
  EndLaunch: "a worker of a pool is gone",
  Tick: "the clock has passed a moment", Advance: "an update or a drain goes on",
  ExpireArtifacts: "artifacts have become too old", Forget: "ended runs make room",
};

/** Nobody asks for the start of a job: `nextStart` finds it. */
const NOBODY = "nobody asks: a ready job and a free worker are enough (nextStart)";

export function wishText(commands: readonly Command["type"][]): string {
  if (commands.length === 0) return NOBODY;
  const words = commands.map((each) => `${each}: ${WISHES[each]}`);
  const or = words.join("; or ");
  return words.length === 1 ? or : `${or}: the log does not say which`;
}
