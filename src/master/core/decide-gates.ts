/**
 * Lesson 16: what becomes of an answer to a gate, and of a gate that nobody has answered.
 *
 *     job succeeds ─▶ WAITING, with a deadline ─▶ GateApproved (one of several) … ─▶ GateClosed
 *
 * A gate is named by its job, and by the attempt behind which it opened: a job that a person tries
 * again comes to another gate, and an answer meant for the first one must not open the second.
 *
 * Invariants: the first answer that closes a gate counts, and later ones are told what it was; a
 * refused answer is no event; silence closes a gate as its author wrote, and the event says so.
 * Test: test/16-gates.core.test.ts
 */
import { invariant } from "#base";
import { castAnswer, closeAtDeadline, personOf, typedValues } from "#gates";
import {
  MAX_FIELD_NAME_CHARS, MAX_FORM_BYTES, MAX_FORM_FIELDS, MAX_PERSON_BYTES, MAX_RESULT_BYTES,
  rulesOf, type Decision, type JobSpec,
} from "#wire";
import { isAtGate } from "./agent-state.ts";
import type { CommandOf } from "./command.ts";
import { answerAsk, findAsk } from "./decide-asks.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn } from "./effect.ts";
import type { EventOf } from "./events.ts";
import { findJob, findRun } from "./find.ts";
import { Refusal, type Context } from "./refusal.ts";
import type { AskRecord, Job, State } from "./state.ts";

// #region answer
/** The first answer counts. A later one is told what the first one was. */
export function decideGate(
  state: State, command: CommandOf<"DecideGate">, context: Context,
): DecidedOn<"DecideGate"> {
  const { gate, by, comment, values: given = {} } = command;
  const found = findGate(state, gate);
  if ("ask" in found) return answerAsk(found.job, found.ask, command, context);
  const { job } = found;
  if (job.decision !== undefined) return onlyReply({ ...job.decision, already: true });
  const doing = `answer gate ${gate}`;
  if (!isAtGate(job)) throw new Refusal("CONFLICT", `Cannot ${doing}: ${noGate(job)}`);
  const { votes, run, spec, index } = job;
  const answer = { approve: command.approve, by, values: given };
  const cast = castAnswer(spec.gate!, answer, { votes, submitter: run.by ?? "" });
  if (cast.type === "refused") throw new Refusal("CONFLICT", `Cannot ${doing}: ${cast.why}`);
  const at = context.now;
  const reply = { approved: command.approve, by, comment, at, already: false };
  if (cast.type === "repeated") {
    const vote = votes.find((each) => personOf(each.by) === personOf(by))!;
    return onlyReply({ ...reply, ...vote, already: true, missing: cast.missing });
  }
  const { values } = cast;
  const answered = { run: run.number, job: index, by, comment, values: { ...values }, at };
  const event: EventOf<"GateApproved" | "GateClosed"> = cast.type === "counted"
    ? { type: "GateApproved", ...answered }
    : { type: "GateClosed", ...answered, outcome: cast.outcome };
  const isOpen = cast.type === "counted" && { missing: cast.missing };
  return {
    events: [event], effects: NO_EFFECTS, reply: { ...reply, values: event.values, ...isOpen },
  };
}
// #endregion

// #region name
/**
 * RUN/JOB is the newest gate of a job. RUN/JOB#2 is the one behind attempt 2, or none. RUN/JOB:KEY
 * is a question that the job itself has asked.
 */
function findGate(state: State, named: string): { job: Job; ask?: AskRecord } {
  const doing = `answer gate ${named}`;
  const [, runId, rest] = /^([^/]*)\/(.*)$/s.exec(named) ?? [];
  if (runId === undefined) {
    throw new Refusal("INVALID", `Cannot answer gate "${named}": a gate is named RUN/JOB`);
  }
  const run = findRun(state, runId);
  const [, jobId, attempt] = /^([^#]*)(?:#(\d{1,10}))?$/s.exec(rest!) ?? [];
  const isJob = jobId !== undefined && run.dag.indexOf(jobId) !== undefined;
  const asked = isJob ? undefined : findAsk(run, rest!, doing);
  if (asked !== undefined) return asked;
  if (jobId === undefined) {
    throw new Refusal("INVALID", `Cannot answer gate "${named}": a gate is named RUN/JOB`);
  }
  const job = findJob(run, jobId);
  if (attempt === undefined || Number(attempt) === job.attempt) return { job };
  const isOld = Number(attempt) < job.attempt;
  const found = isOld ? "the job was tried again since, and that gate is gone"
    : `its job has had ${job.attempt} attempts`;
  throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
}
// #endregion

/** Why nobody can answer the gate behind a job: a question of its own has another name. */
function noGate({ run, spec, status, agent }: Job): string {
  const open = agent?.asks.find(({ decision }) => decision === undefined);
  if (open === undefined) return `the job is ${status} and waits for nobody`;
  return `the job is ${status}, and its own question is ${run.id}/${spec.id}:${open.key}`;
}

/** Its time is up. Without a word from its author it fails closed: nobody said yes. */
export function closeGate({ run, index, spec, votes }: Job, at: number): EventOf<"GateClosed"> {
  const { outcome, comment, values } = closeAtDeadline(spec.gate!, votes);
  return {
    type: "GateClosed", run: run.number, job: index, outcome, by: TITAN, comment,
    values: { ...values }, at,
  };
}

/** The name under which a deadline decides. */
const TITAN = "titan";

/** Of a comment, as far as the jobs behind the gate are given it. */
const INPUT_COMMENT_CHARS = 1024;
/** JSON writes a control character as \u0000. */
const MAX_ESCAPED = 6;
invariant(
  MAX_ESCAPED * (MAX_FORM_BYTES + INPUT_COMMENT_CHARS + MAX_PERSON_BYTES) +
    2 * MAX_FORM_FIELDS * MAX_FIELD_NAME_CHARS <= MAX_RESULT_BYTES,
  "the answer to a gate is handed on as a result is",
);

/** The answer as the jobs behind the gate get it: JSON. */
export function answerOf({ gate }: JobSpec, decision: Decision): Buffer {
  const { approved, skipped, by, comment, at, values } = decision;
  return Buffer.from(JSON.stringify({
    outcome: approved ? "approved" : skipped === true ? "skipped" : "rejected",
    by, comment: comment.slice(0, INPUT_COMMENT_CHARS), at,
    fields: typedValues(gate === undefined ? [] : rulesOf(gate).form, values),
  }));
}

/** What a person calls the gate that is open behind a job. */
export function gateId({ run, spec, attempt }: Job): string {
  return attempt === 1 ? `${run.id}/${spec.id}` : `${run.id}/${spec.id}#${attempt}`;
}
