/**
 * Lesson 10: `decide(state, command, context)`, the door to the core: what follows from a command,
 * given what is known. Pure: it reads the state, writes nothing, and returns facts (events) with
 * their effects, or refuses (throws a `Refusal`).
 *
 * Why a function of its own, and not a check inside `apply`? Because a refusal must leave no trace.
 * An event that `decide` returns has been checked against the state that it will be applied to, so
 * `apply` may treat every event as a thing that happened.
 *
 * Invariants: no clock, no randomness (both come in `Context`, and what was drawn ends up inside
 * the event); every command has its row.
 * Left out: authorisation, which the connection settles before a command exists.
 * Test: test/10-master.transcripts.test.ts, test/10-master.test.ts
 */
import type { Command, CommandOf } from "./command.ts";
import { decideAsk } from "./decide-asks.ts";
import {
  decideCollectArtifacts, decideExpireArtifacts, decideMakeArtifactRoom, decidePutArtifact,
  decideRemoveArtifact,
} from "./decide-artifacts.ts";
import { decideOutputLost, decideReport } from "./decide-attempts.ts";
import { decideRaise } from "./decide-budget.ts";
import { decideFork } from "./decide-fork.ts";
import { decideGate } from "./decide-gates.ts";
import { decideTried } from "./decide-notices.ts";
import {
  decideAnswer, decideEndLaunch, decideLaunch, decideStopLaunch,
} from "./decide-launches.ts";
import {
  decideAddJobs, decideCancel, decideCancelGroup, decideSubmit, decideTick,
} from "./decide-runs.ts";
import { decideHealth, decideRestart, decideStop } from "./decide-services.ts";
import { decideEndStep, decideStartStep } from "./decide-steps.ts";
import { decideSpawn } from "./decide-spawn.ts";
import { decideAdvance, decideRollback, decideScale } from "./decide-versions.ts";
import { decideWait } from "./decide-waits.ts";
import {
  decideDrain, decideJoin, decideLose, decideRejoin, decideRetire,
} from "./decide-workers.ts";
import type { DecidedOn } from "./effect.ts";
import type { Context } from "./refusal.ts";
import { decideRetry } from "./retry.ts";
import { decideForget } from "./room.ts";
import type { State } from "./state.ts";

type Decider<T extends Command["type"]> = (
  state: State, command: CommandOf<T>, context: Context,
) => DecidedOn<T>;

// #region decide
const DECIDERS: { readonly [T in Command["type"]]: Decider<T> } = {
  Submit: decideSubmit,
  AddJobs: decideAddJobs,
  Cancel: decideCancel,
  Retry: decideRetry,
  Fork: decideFork,
  DecideGate: decideGate,
  Spawn: decideSpawn,
  Wait: decideWait,
  Ask: decideAsk,
  Stop: decideStop,
  Restart: decideRestart,
  Scale: decideScale,
  Rollback: decideRollback,
  RaiseBudget: decideRaise,
  CancelGroup: decideCancelGroup,
  Drain: decideDrain,
  Join: decideJoin,
  Rejoin: decideRejoin,
  Lose: decideLose,
  Finish: decideReport,
  Health: decideHealth,
  LoseOutput: decideOutputLost,
  StartStep: decideStartStep,
  EndStep: decideEndStep,
  NoticeTried: decideTried,
  Launch: decideLaunch,
  Retire: decideRetire,
  AnswerLaunch: decideAnswer,
  StopLaunch: decideStopLaunch,
  EndLaunch: decideEndLaunch,
  PutArtifact: decidePutArtifact,
  RemoveArtifact: decideRemoveArtifact,
  CollectArtifacts: decideCollectArtifacts,
  MakeArtifactRoom: decideMakeArtifactRoom,
  ExpireArtifacts: decideExpireArtifacts,
  Tick: decideTick,
  Advance: decideAdvance,
  Forget: decideForget,
};

/** @throws {Refusal} */
export function decide<T extends Command["type"]>(
  state: State, command: CommandOf<T>, context: Context,
): DecidedOn<T> {
  const decider: Decider<T> = DECIDERS[command.type as T];
  return decider(state, command, context);
}
// #endregion
