/**
 * Lesson 16: what an answer does to a gate.
 *
 *     answer ─▶ may this person? ─▶ a rejection ───────────────────────────▶ closed, rejected
 *                                └▶ an approval ─▶ does the form fit? ─▶ one of several: counted
 *                                                                     └▶ the last one:  approved
 *
 * Invariants: a person counts once; one rejection is enough, because a gate fails closed; all
 * approvals of one gate agree on the values of its form; whatever is refused changes nothing.
 * Test: test/16-gates.test.ts
 */
import { durationText, plural, webhookProblem } from "#base";
import { rulesOf, type Gate, type GateOutcome, type GateRules, type GateVote } from "#wire";
import { formProblem, readForm, type FormTexts } from "./form.ts";

/** What somebody says to a gate. */
export interface Answer {
  readonly approve: boolean;
  /** Empty: nobody has said who it is. */
  readonly by: string;
  readonly values: FormTexts;
}

export type Cast =
  /** It may not be, or cannot be. In words. */
  | { readonly type: "refused"; readonly why: string }
  /** Said before, by the same person. */
  | { readonly type: "repeated"; readonly missing: number }
  /** One of several approvals. */
  | { readonly type: "counted"; readonly missing: number; readonly values: FormTexts }
  | { readonly type: "closed"; readonly outcome: GateOutcome; readonly values: FormTexts };

// #region cast
/**
 * `votes`: the approvals so far. `submitter`: who submitted the run, empty if nobody knows.
 * `missing`: the approvals that are needed after this one. A refusal says what is wrong with the
 * form, or with the person:
 *
 *     eve is none of its approvers (ada, bob@desk)      no name: somebody without a name
 *     ada submitted the run, and its gate wants somebody else            no name: nobody
 */
export function castAnswer(
  gate: Gate, answer: Answer, so: { votes: readonly GateVote[]; submitter: string },
): Cast {
  // #exercise castAnswer
  const { votes, submitter } = so;
  const { approve, by } = answer;
  const { approvers, form, required, selfApproval } = rulesOf(gate);
  if (approvers.length > 0 && !approvers.some((name) => isMeant(name, by))) {
    const who = by === "" ? "somebody without a name" : by;
    return refused(`${who} is none of its approvers (${approvers.join(", ")})`);
  }
  if (!approve) return { type: "closed", outcome: "rejected", values: {} };
  if (!selfApproval && personOf(by) === personOf(submitter)) {
    return refused(`${by || "nobody"} submitted the run, and its gate wants somebody else`);
  }
  const missing = required - votes.length - 1;
  const isCounted = votes.some((vote) => personOf(vote.by) === personOf(by));
  if (isCounted) return { type: "repeated", missing: missing + 1 };
  // The values of the first approval stand, unless they are filled in again.
  const read = readForm(form, { ...votes[0]?.values, ...answer.values });
  if ("problem" in read) return refused(read.problem);
  const other = firstDifference(read.values, votes[0]);
  if (other !== undefined) return refused(other);
  if (missing > 0) return { type: "counted", missing, values: read.values };
  return { type: "closed", outcome: "approved", values: read.values };
  // #end-exercise
}
// #endregion

/** `ada` of `ada@desk`: one person is not two because she has two machines. */
export function personOf(by: string): string {
  return by.replace(/@.*$/s, "");
}

/** `ada` is ada on every machine, `ada@desk` is ada at the desk. */
function isMeant(approver: string, by: string): boolean {
  return approver === by || approver === personOf(by);
}

function refused(why: string): Cast {
  return { type: "refused", why };
}

/** Two people who approve different things have not approved the same thing. */
function firstDifference(values: FormTexts, vote: GateVote | undefined): string | undefined {
  if (vote === undefined) return undefined;
  for (const name of Object.keys(values)) {
    const had = vote.values[name];
    if (had === values[name]) continue;
    const how = had === undefined ? `without ${name}` : `with ${name}=${had}`;
    return `${vote.by} has approved it ${how}: approve the same, or reject it`;
  }
  return undefined;
}

// #region deadline
/**
 * What becomes of a gate that nobody has answered, or not enough people. The comment says so:
 * "nobody answered within 2d", "1 of 2 approvals within 2d". If the values of the first vote do not
 * fill the form of a gate that approves itself, it says what is wrong with them.
 */
export function closeAtDeadline(
  gate: Gate, votes: readonly GateVote[],
): { outcome: GateOutcome; values: FormTexts; comment: string } {
  // #exercise closeAtDeadline
  const { form, onTimeout, required } = rulesOf(gate);
  const within = `within ${durationText(gate.maxWaitMs)}`;
  const comment = votes.length === 0 ? `nobody answered ${within}`
    : `${votes.length} of ${plural(required, "approval")} ${within}`;
  if (onTimeout === "skip") return { outcome: "skipped", values: {}, comment };
  if (onTimeout === "reject") return { outcome: "rejected", values: {}, comment };
  const read = readForm(form, votes[0]?.values ?? {});
  // The definition was checked for this; a gate that cannot be answered fails closed.
  if ("problem" in read) return { outcome: "rejected", values: {}, comment: read.problem };
  return { outcome: "approved", values: read.values, comment };
  // #end-exercise
}
// #endregion

/** What is wrong with a gate as its author wrote it. Undefined: nothing. */
export function rulesProblem(rules: GateRules): string | undefined {
  const { approvers, required, form, onTimeout } = rules;
  if (new Set(approvers).size < approvers.length) return "names an approver twice";
  if (approvers.includes("")) return "has an approver without a name";
  if (required < 1) return "needs at least one approval";
  if (approvers.length > 0 && required > approvers.length) {
    return `needs ${required} approvals, and has ${plural(approvers.length, "approver")}`;
  }
  const problem = formProblem(form);
  if (problem !== undefined) return problem;
  const { notify } = rules;
  if (notify?.type === "command" && (notify.argv[0] ?? "") === "") {
    return "tells people by a program without a name";
  }
  const wrong = notify?.type === "webhook" ? webhookProblem(notify.url) : undefined;
  if (wrong !== undefined) return `tells people at an address that ${wrong}`;
  const open = form.find((field) => field.required && field.default === undefined);
  if (onTimeout === "approve" && open !== undefined) {
    return `approves itself in the end, and field "${open.name}" is required and has no default`;
  }
  return undefined;
}
