/**
 * The golden transcripts of chapter 10: each file in lessons/10-master/transcripts is one life of
 * the core. A paragraph has commands, `---`, and what follows from them: events, effects and the
 * reply, or a refusal. `TITAN_RECORD=1` writes down what follows now; review it as a diff.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Command, Effect, Event } from "#core";
import { assertRecoverable } from "./10-master.core.ts";
import { Script } from "./10-master.script.ts";

const FOLDER = join(import.meta.dirname, "../lessons/10-master/transcripts");
const RECORD = process.env["TITAN_RECORD"] === "1";

const seen = { commands: new Set<string>(), events: new Set<string>(), effects: new Set<string>() };
let cases = 0;

for (const file of readdirSync(FOLDER).sort()) {
  test(`decide() follows the transcript ${file}`, () => {
    const recorded = readFileSync(join(FOLDER, file), "utf8");
    const script = new Script();
    const played = play(script, recorded);
    if (RECORD) writeFileSync(join(FOLDER, file), played);
    else assert.equal(played, recorded);
    assertRecoverable(script.bench);
    for (const kind of ["commands", "events", "effects"] as const) {
      for (const type of script.seen[kind]) seen[kind].add(type);
    }
  });
}

/** The same text with each trace as it is now. */
function play(script: Script, text: string): string {
  const out: string[] = [];
  for (const paragraph of text.trim().split(/\n{2,}/)) {
    const lines = paragraph.split("\n---")[0]!.split("\n");
    const commands = lines.filter((line) => !line.startsWith("#"));
    if (commands.length === 0) {
      out.push(paragraph);
      continue;
    }
    cases += 1;
    out.push([...lines, "---", ...script.perform(commands)].join("\n"));
  }
  return `${out.join("\n\n")}\n`;
}

/** Checked by the compiler: a type that is added and not listed here does not compile. */
const COMMANDS: Record<Command["type"], true> = {
  Submit: true, AddJobs: true, Cancel: true, Retry: true, DecideGate: true, Drain: true, Join: true,
  Rejoin: true, Lose: true, Finish: true, LoseOutput: true, Tick: true, Forget: true, Health: true,
  Stop: true, Restart: true, Launch: true, Retire: true, AnswerLaunch: true, StopLaunch: true,
  EndLaunch: true, Scale: true, Rollback: true, Advance: true, StartStep: true, EndStep: true,
  Fork: true, RaiseBudget: true, CancelGroup: true, Spawn: true, Wait: true, Ask: true,
  PutArtifact: true, RemoveArtifact: true, CollectArtifacts: true, MakeArtifactRoom: true,
  ExpireArtifacts: true, NoticeTried: true,
};
const EFFECTS: Record<Effect["type"], true> = {
  Dispatch: true, Kill: true, Notify: true, Hold: true, Release: true, Forget: true,
  StartWorker: true, StopWorker: true, Announce: true,
};
/** Nothing writes these three any more. */
type OldEvent = "JobsMarked" | "GateDecided" | "ServicesStopped";
const EVENTS: Record<Exclude<Event["type"], OldEvent>, true> = {
  RunSubmitted: true, JobsAdded: true, TimePassed: true, JobStarted: true, JobSucceeded: true,
  JobFailed: true, JobLost: true, JobStopped: true, GateApproved: true, GateClosed: true,
  RunRetried: true, WorkerJoined: true, WorkerLost: true, RunsForgotten: true, WorkerDrained: true,
  WorkerKnows: true,
  JobsCancelled: true, OutputLost: true, RunsLetGo: true, JobsInserted: true,
  ServiceHealth: true, ReplicasRetired: true, NameLetGo: true, ServicesRestarted: true,
  LaunchOrdered: true, LaunchAnswered: true, LaunchRetired: true, LaunchStopped: true,
  LaunchEnded: true,
  UpdateSubmitted: true, UpdateDone: true, UpdateFailed: true, ServiceScaled: true,
  StepStarted: true, StepDone: true, StepFailed: true, RunForked: true, ChangesAccepted: true,
  BudgetReached: true, BudgetRaised: true,
  JobsSpawned: true, WaitAsked: true, JobPaused: true, AskOpened: true, AskApproved: true,
  AskClosed: true,
  ArtifactPut: true, ArtifactsRemoved: true, NoticeSent: true, NoticeFailed: true,
};

after(() => {
  assert.ok(cases >= 40, `${cases} cases`);
  assert.deepEqual([...seen.commands].sort(), Object.keys(COMMANDS).sort());
  assert.deepEqual([...seen.effects].sort(), Object.keys(EFFECTS).sort());
  assert.deepEqual([...seen.events].sort(), Object.keys(EVENTS).sort());
});
