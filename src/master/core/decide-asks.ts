/**
 * Lesson 16: questions in the middle of a program. `job.ask` opens one, people answer it as they
 * answer a gate, and the program is given the answer, in this attempt or in a later one.
 *
 *     Ask: new ─▶ AskOpened      known ─▶ as it is: open, or with its answer
 *     DecideGate RUN/JOB:KEY ─▶ AskApproved (one of several) … ─▶ AskClosed ─▶ a job that is
 *                                                                              paused goes on
 *
 * Invariants: those of gates (decide-gates.ts); one outcome for each question of an attempt's life;
 * an answer does nothing to the job, which may read it as it likes.
 * Test: test/18-agents.asks.test.ts
 */
import { castAnswer, closeAtDeadline, personOf, rulesProblem } from "#gates";
import { Gate, MAX_ASKS, type Decision } from "#wire";
import { agentOf, askOf } from "./agent-state.ts";
import { MAX_WAIT_MS } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { announced } from "./decide-notices.ts";
import { checkKey } from "./decide-spawn.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn } from "./effect.ts";
import type { EventOf } from "./events.ts";
import { fenced } from "./fence.ts";
import { AGENT_BYTES, askMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom } from "./room.ts";
import type { AskRecord, Job, OpenAsk, State } from "./state.ts";

// #region ask
export function decideAsk(
  state: State, { by, key, gate }: CommandOf<"Ask">, context: Context,
): DecidedOn<"Ask"> {
  const doing = `ask "${key}"`;
  const job = fenced(state, by, doing);
  checkKey(key, doing);
  const known = askOf(job, key);
  if (known !== undefined) {
    if (!Gate.encode(known.gate).equals(Gate.encode(gate))) throw otherQuestion(known, gate, doing);
    const { deadline, decision } = known;
    return onlyReply({ gate: askId(job, known), deadline, decision });
  }
  checkQuestion(state, job, { key, gate, doing }, context);
  const { run, index, attempt } = job;
  const at = context.now;
  const deadline = at + gate.maxWaitMs;
  return {
    events: [{ type: "AskOpened", run: run.number, job: index, attempt, at, key, gate }],
    effects: announced(gate, { run: run.number, job: index, attempt, key }),
    reply: { gate: askId(job, { key, attempt }), deadline, decision: undefined },
  };
}
// #endregion

function checkQuestion(
  state: State,
  job: Job,
  { key, gate, doing }: { key: string; gate: Gate; doing: string },
  context: Context,
): void {
  const refuse = (code: Refusal["code"], found: string): Refusal =>
    new Refusal(code, `Cannot ${doing}: ${found}`);
  if (gate.message === "") throw refuse("INVALID", "the question is empty");
  if (gate.maxWaitMs > MAX_WAIT_MS) {
    throw refuse("INVALID", `it waits ${gate.maxWaitMs} ms, more than ${MAX_WAIT_MS}`);
  }
  const problem = gate.rules === undefined ? undefined : rulesProblem(gate.rules);
  if (problem !== undefined) throw refuse("INVALID", `it ${problem}`);
  const notify = gate.rules?.notify;
  const unsendable = notify && context.mayNotify?.(notify);
  if (unsendable !== undefined) throw refuse("INVALID", `it ${unsendable}`);
  if (agentOf(job).asks.length >= MAX_ASKS) {
    throw refuse("LIMIT", `the job has asked ${MAX_ASKS} questions already`);
  }
  checkRoom(state, { runs: 0, bytes: AGENT_BYTES + askMemory(key, gate), doing }, context);
}

function otherQuestion(known: AskRecord, gate: Gate, doing: string): Refusal {
  const short = (text: string): string => JSON.stringify(text.slice(0, 80));
  const before = `attempt ${known.attempt} has asked ${short(known.gate.message)} under this key`;
  const now = known.gate.message === gate.message
    ? "and now it has another form or other rules" : `and now it is ${short(gate.message)}`;
  return new Refusal("CONFLICT", `Cannot ${doing}: ${before}, ${now}`);
}

/** What a person calls a question. After a retry it is another one, with another name. */
export function askId(
  { run, spec, agent }: Job, { key, attempt }: Pick<AskRecord, "key" | "attempt">,
): string {
  const name = `${run.id}/${spec.id}:${key}`;
  return agent?.retried === true ? `${name}#${attempt}` : name;
}

// #region answer
/** As `decideGate` decides on a gate. */
export function answerAsk(
  job: Job, ask: AskRecord, command: CommandOf<"DecideGate">, context: Context,
): DecidedOn<"DecideGate"> {
  const { by, comment, values: given = {}, approve } = command;
  const { key, votes, gate, decision } = ask;
  if (decision !== undefined) return onlyReply({ ...decision, already: true });
  const { run, index } = job;
  const cast = castAnswer(gate, { approve, by, values: given }, {
    votes, submitter: run.by ?? "",
  });
  if (cast.type === "refused") {
    throw new Refusal("CONFLICT", `Cannot answer gate ${command.gate}: ${cast.why}`);
  }
  const at = context.now;
  const reply: Decision = {
    approved: approve, by, comment, at, already: false, skipped: undefined, values: {},
    missing: undefined,
  };
  if (cast.type === "repeated") {
    const vote = votes.find((each) => personOf(each.by) === personOf(by))!;
    return onlyReply({ ...reply, ...vote, already: true, missing: cast.missing });
  }
  const values = { ...cast.values };
  const answered = { run: run.number, job: index, by, comment, values, at, key };
  const event: EventOf<"AskApproved" | "AskClosed"> = cast.type === "counted"
    ? { type: "AskApproved", ...answered }
    : { type: "AskClosed", ...answered, outcome: cast.outcome };
  const isOpen = cast.type === "counted" && { missing: cast.missing };
  return { events: [event], effects: NO_EFFECTS, reply: { ...reply, values, ...isOpen } };
}
// #endregion

/**
 * The question that a name means, whose rest behind the run is `JOB:KEY` or `JOB:KEY#ATTEMPT`. Ids
 * and keys may have colons in them. Undefined: it is no such name.
 */
export function findAsk(
  run: Job["run"], rest: string, doing: string,
): { job: Job; ask: AskRecord } | undefined {
  let missed: Refusal | undefined;
  for (let colon = rest.indexOf(":"); colon >= 0; colon = rest.indexOf(":", colon + 1)) {
    const index = run.dag.indexOf(rest.slice(0, colon));
    if (index === undefined) continue;
    const job = run.job(index)!;
    const [, key, attempt] = /^(.*?)(?:#(\d{1,10}))?$/s.exec(rest.slice(colon + 1))!;
    const ask = askOf(job, rest.slice(colon + 1)) ?? askOf(job, key!);
    if (ask === undefined) {
      missed ??= noQuestion(job, rest.slice(colon + 1), doing);
      continue;
    }
    if (attempt === undefined || ask.key !== key || ask.attempt === Number(attempt)) {
      return { job, ask };
    }
    const found = `it was asked again since, by attempt ${ask.attempt}`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
  }
  if (missed !== undefined) throw missed;
  return undefined;
}

/** It was never asked, or nobody can answer it any more. */
function noQuestion(job: Job, key: string, doing: string): Refusal {
  const { spec, status } = job;
  const isOver = status !== "RUNNING" && status !== "WAITING" && status !== "PENDING";
  const found = isOver
    ? `the job is ${status} and waits for nobody`
    : `job "${spec.id}" has no question "${key}"`;
  return new Refusal(isOver ? "CONFLICT" : "NOT_FOUND", `Cannot ${doing}: ${found}`);
}

/** Its time is up, as for a gate. */
export function closeAskAtDeadline(
  { job, ask: { key } }: OpenAsk, at: number,
): EventOf<"AskClosed"> {
  const { gate, votes } = askOf(job, key)!;
  const { outcome, comment, values } = closeAtDeadline(gate, votes);
  return {
    type: "AskClosed", run: job.run.number, job: job.index, outcome, by: "titan", comment,
    values: { ...values }, at, key,
  };
}
