/**
 * Lesson 19: what the constructor does by itself after a change: it asks the master to check the
 * text, and saves the draft. And what is sent when a person runs the pipeline.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { Context } from "../views/view.ts";
import { currentDesk, START, update, type Desk } from "./desk.ts";
import type { Document } from "./document.ts";
import { bodyOf } from "./files.ts";
import { removeJobs } from "./jobs.ts";
import { findingsOf, type Verdict } from "./problems.ts";
import { save } from "./saves.ts";

/** A person who types is not asked at each letter. */
const CHECK_MS = 400;
const SAVE_MS = 2_000;
const JSON_TYPE = "application/json";

let checkTimer: ReturnType<typeof setTimeout> | undefined;
let saveTimer: ReturnType<typeof setTimeout> | undefined;
let seen: Desk["board"] | undefined;

/** After each picture: starts what the latest change needs. */
export function tend(context: Context): void {
  const { board, draft } = currentDesk();
  if (board === seen) return;
  const isText = board.text !== seen?.text || board.files !== seen.files;
  const isMoved = board.positions !== seen?.positions;
  const isFirst = seen === undefined;
  seen = board;
  if (isText) {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(() => void check(context, { isUnasked: true }), isFirst ? 0 : CHECK_MS);
  }
  // A board without a past was just opened: nothing of it has been done here.
  if (isFirst || !(isText || isMoved) || board.past.length === 0) return;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(() => void save(context), SAVE_MS);
  if (draft.status === "saved") {
    update(context, (desk) => ({ ...desk, draft: { ...desk.draft, status: "unsaved" } }));
  }
}

// ── checks ───────────────────────────────────────────────────────────────────────────────────────

export async function check(context: Context, { isUnasked = false } = {}): Promise<boolean> {
  const { board, from } = currentDesk();
  const { text, files } = board;
  if (board.refusal !== undefined) return false;
  let verdict: Verdict;
  try {
    const body = bodyOf(text, { files, from, namesOnly: true });
    verdict = await context.api.send<Verdict>("validate", body, JSON_TYPE);
  } catch {
    return false; // the banner says that the master does not answer; the next change asks again
  }
  update(context, (desk) => (desk.board.text !== text || desk.board.files !== files ? desk :
    { ...desk, checked: text,
      // Nobody has begun: that there is no job is no mistake yet.
      findings: isUnasked && text === START ? [] : findingsOf(desk.board.document, verdict) }));
  return verdict.valid;
}

// ── running ──────────────────────────────────────────────────────────────────────────────────────

export interface RunOptions {
  /** Only this job and those before it. */
  readonly until?: string;
  /** Its services become the cluster's. */
  readonly deploy?: boolean | undefined;
}

export async function run(context: Context, { until, deploy }: RunOptions = {}): Promise<void> {
  const { board } = currentDesk();
  if (board.refusal !== undefined) {
    throw new Error(`Cannot run: line ${board.refusal.line}: ${board.refusal.reason}`);
  }
  const { text } = until === undefined ? board.document : upTo(board.document, until);
  if (!await check(context) && currentDesk().findings.length > 0) {
    const [first] = currentDesk().findings;
    throw new Error(`Cannot run: ${first!.line === undefined ? "" : `line ${first!.line}: `}` +
      first!.message);
  }
  await send(context, text, { deploy });
}

/** Submits a pipeline together with the files, and watches the run here. */
export async function send(
  context: Context, text: string, { deploy = false }: RunOptions = {},
): Promise<void> {
  const { board: { files }, from } = currentDesk();
  const answer = await context.api.send<{ run: string; warnings: string[] }>(
    `runs${deploy ? "?deploy=1" : ""}`, bodyOf(text, { files, from }), JSON_TYPE);
  update(context, (desk) => ({ ...desk, run: answer.run }));
  context.announce(`${answer.run} has started`);
  for (const warning of answer.warnings) {
    context.dispatch({ type: "notice", kind: "problem", text: warning });
  }
}

/** The job and all that it waits for, directly or not. */
export function upTo(document: Document, key: string): Document {
  const ids = new Map(document.jobs.map((job) => [job.id, job]));
  const wanted = new Set([document.byKey.get(key)!]);
  for (const { parents } of wanted) {
    for (const id of parents) {
      const parent = ids.get(id);
      if (parent !== undefined) wanted.add(parent);
    }
  }
  const others = document.jobs.filter((job) => !wanted.has(job)).map((job) => job.key);
  return others.length === 0 ? document : removeJobs(document, others);
}
