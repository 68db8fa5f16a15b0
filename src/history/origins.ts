/**
 * Lesson 10: from which command a fact follows, and which effects follow with it.
 *
 * The log has neither: a command is over once it is decided, and effects are made of the decision.
 * But each kind of event is made in few places of the core, so its kind, its fields and the state
 * before it say what else there was.
 *
 *     commands   all that decide such an event. Empty: nobody asks, it follows from the state
 *     effects    the core's own, derived from the event and the state before it
 *
 * Invariant: for every decision of the core, each of its events names its command here, and the
 * effects of all of them together are those of the decision; a test says so.
 * Left out: what cannot be known is said, and not guessed: see `perhaps`. A worker that is back is
 * told again which attempts are to end; that follows from no fact, and so it is in no log.
 * Test: test/10-master.history.test.ts
 */
import type { Command, Effect, Event, EventOf, Run, State } from "#core";
import { rulesOf, type Gate } from "#wire";

type CommandType = Command["type"];
type EffectType = Effect["type"];

const MAKING_ROOM = ["Submit", "AddJobs", "Spawn", "Scale", "Rollback", "Fork"] as const;
const SPENDING = ["StartStep", "EndStep", "Tick", ...MAKING_ROOM] as const;

// #region origins
const ORIGINS: Readonly<Record<Event["type"], readonly CommandType[]>> = {
  RunSubmitted: ["Submit"], UpdateSubmitted: ["Submit", "Rollback"], RunForked: ["Fork"],
  JobsAdded: ["AddJobs"], JobsInserted: ["AddJobs"], JobsSpawned: ["Spawn"],
  TimePassed: ["Tick"], JobStarted: [],
  JobSucceeded: ["Finish"], JobFailed: ["Finish"], JobStopped: ["Finish"], JobPaused: ["Finish"],
  JobLost: ["Lose", "Rejoin"], OutputLost: ["LoseOutput"],
  JobsCancelled: ["Cancel", "CancelGroup"], RunRetried: ["Retry", "Scale"],
  ChangesAccepted: ["Retry"],
  RunsForgotten: ["Forget", ...MAKING_ROOM], RunsLetGo: ["Forget", ...MAKING_ROOM],
  GateApproved: ["DecideGate"], GateClosed: ["DecideGate", "Tick"],
  NoticeSent: ["NoticeTried"], NoticeFailed: ["NoticeTried"],
  WaitAsked: ["Wait"], AskOpened: ["Ask"], AskApproved: ["DecideGate"],
  AskClosed: ["DecideGate", "Tick"],
  StepStarted: ["StartStep"], StepDone: ["EndStep"], StepFailed: ["EndStep"],
  WorkerJoined: ["Join"], WorkerKnows: ["Rejoin"], WorkerLost: ["Lose"],
  WorkerDrained: ["Drain", "Retire"],
  ServiceHealth: ["Health"], ServicesRestarted: ["Restart", "Drain", "Retire"],
  ReplicasRetired: ["Stop", "Scale", "Advance"], NameLetGo: ["Stop"], ServiceScaled: ["Scale"],
  UpdateDone: ["Advance"], UpdateFailed: ["Advance"],
  BudgetReached: SPENDING, BudgetRaised: ["RaiseBudget"],
  LaunchOrdered: ["Launch"], LaunchAnswered: ["AnswerLaunch"], LaunchRetired: ["Retire"],
  LaunchStopped: ["StopLaunch", "Lose", "Retire"], LaunchEnded: ["EndLaunch"],
  ArtifactPut: ["PutArtifact"],
  ArtifactsRemoved: [
    "RemoveArtifact", "CollectArtifacts", "MakeArtifactRoom", "ExpireArtifacts", "PutArtifact",
  ],
  // In logs of older versions:
  JobsMarked: ["Cancel"], ServicesStopped: ["Stop"], GateDecided: ["DecideGate", "Tick"],
};
// #endregion

/** Of events. */
export const KINDS = Object.keys(ORIGINS).length;

/** An answer that nobody gave: the deadline did. */
const TITAN = "titan";

/** The commands from which this event may have followed. */
export function commandsOf(event: Event): readonly CommandType[] {
  if (event.type === "GateClosed" || event.type === "AskClosed") {
    return [event.by === TITAN ? "Tick" : "DecideGate"];
  }
  if (event.type !== "ReplicasRetired") return ORIGINS[event.type];
  if (event.how === "drain") return ["Scale"];
  return event.by === TITAN ? ["Advance"] : ["Stop"];
}

export interface ToldEffect {
  readonly type: EffectType;
  readonly text: string;
}

/** What follows with this event, in the state before it. */
// #region effects
export function effectsOf(state: State, event: Event): ToldEffect[] {
  switch (event.type) {
    case "JobStarted": return [told("Dispatch", "the worker gets the attempt")];
    case "JobsCancelled": case "ReplicasRetired": case "ServicesRestarted":
      return event.type === "ReplicasRetired" && event.how === "drain" ? []
        : kills(running(state.runs.get(event.run), event.jobs));
    case "UpdateFailed": return kills(running(state.runs.get(event.run)));
    case "JobsAdded": case "JobsInserted": case "JobsSpawned": case "ServiceScaled":
      return [told("Notify", "watchers of the run hear of the new jobs")];
    case "JobSucceeded":
      return announces(state.runs.get(event.run)?.job(event.job)?.spec.gate);
    case "AskOpened": return announces(event.gate);
    case "LaunchOrdered": return [told("StartWorker", `${event.name} is to be started`)];
    case "LaunchStopped": return [told("StopWorker", `${event.name} is to be ended`)];
    case "RunsForgotten": case "RunsLetGo":
      return event.runs.map((run) =>
        told("Forget", `output of ${state.runs.get(run)?.id ?? run} is removed`));
    case "ArtifactPut": {
      const { run, name } = event;
      const there = run === undefined ? state.kept : state.runs.get(run)?.artifacts;
      const old = there?.has(name) ? [told("Release", "the content before it is let go")] : [];
      return [told("Hold", "its content is kept"), ...old];
    }
    case "ArtifactsRemoved":
      return event.gone.map(({ name }) => told("Release", `the content of ${name} is let go`));
    case "RunForked": return holds(state.runs.get(event.from), event);
    default: return [];
  }
}
// #endregion

/** Effects that may have followed besides: the log does not say. */
export function perhaps(event: Event): ToldEffect[] {
  if (event.type !== "UpdateSubmitted" || event.spec.project === undefined) return [];
  return [told("Hold", "if this was a rollback, which the log does not say: the project is kept")];
}

function told(type: EffectType, text: string): ToldEffect {
  return { type, text };
}

/** How many of these jobs (default: all) run. */
function running(run: Run | undefined, jobs: readonly number[] = [...run?.jobs.keys() ?? []]) {
  return jobs.filter((index) => run?.job(index)?.status === "RUNNING").length;
}

function kills(attempts: number): ToldEffect[] {
  if (attempts === 0) return [];
  const whose = attempts === 1 ? "its worker is to end the attempt"
    : `workers are to end ${attempts} attempts`;
  return [told("Kill", whose)];
}

function announces(gate: Gate | undefined): ToldEffect[] {
  if (gate === undefined || rulesOf(gate).notify === undefined) return [];
  return [told("Announce", "people are to be told that it waits for them")];
}

/** Files that the new run shares with the old one. */
function holds(from: Run | undefined, { step }: EventOf<"RunForked">): ToldEffect[] {
  const steps = (from?.jobs ?? []).flatMap((job) => [...job.journal?.values() ?? []]);
  const blobs = steps.filter(({ status, order, blob }) =>
    status === "DONE" && order < step && blob !== undefined).length;
  const all = blobs + (from?.spec.project === undefined ? 0 : 1);
  return Array.from({ length: all }, () => told("Hold", "a file of the other run is kept for it"));
}
