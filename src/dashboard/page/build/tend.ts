/**
 * Lesson 19: what the constructor does by itself after a change: it asks the master to check the
 * text, and saves the draft. And what is sent when a person runs the pipeline.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { withQuery } from "../router.ts";
import type { Context } from "../views/view.ts";
import { openBoard } from "./board.ts";
import { currentDesk, fitted, newDesk, update, type Desk } from "./desk.ts";
import type { Document } from "./document.ts";
import { Drafts, DraftConflict, type Draft } from "./drafts.ts";
import { freshId, removeJobs } from "./jobs.ts";
import { findingsOf, type Verdict } from "./problems.ts";

/** A person who types is not asked at each letter. */
const CHECK_MS = 400;
const SAVE_MS = 2_000;
const YAML = "application/yaml";

let checkTimer: ReturnType<typeof setTimeout> | undefined;
let saveTimer: ReturnType<typeof setTimeout> | undefined;
let seen: Desk["board"] | undefined;

export const drafts = (): Drafts => new Drafts(localStorage);

/** After each picture: starts what the latest change needs. */
export function tend(context: Context): void {
  const { board, draft } = currentDesk();
  if (board === seen) return;
  const isText = board.text !== seen?.text;
  const isMoved = board.positions !== seen?.positions;
  const isFirst = seen === undefined;
  seen = board;
  if (isText) {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(() => void check(context), isFirst ? 0 : CHECK_MS);
  }
  if (isFirst || !(isText || isMoved) || board.past.length === 0) return;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(() => save(context), SAVE_MS);
  if (draft.status === "saved") {
    update(context, (desk) => ({ ...desk, draft: { ...desk.draft, status: "unsaved" } }));
  }
}

// ── checks ───────────────────────────────────────────────────────────────────────────────────────

export async function check(context: Context): Promise<boolean> {
  const { board } = currentDesk();
  if (board.refusal !== undefined) return false;
  let verdict: Verdict;
  try {
    verdict = await context.api.send<Verdict>("validate", board.text, YAML);
  } catch {
    return false; // the banner says that the master does not answer; the next change asks again
  }
  update(context, (desk) => (desk.board.text !== board.text ? desk :
    { ...desk, checked: board.text, findings: findingsOf(desk.board.document, verdict) }));
  return verdict.valid;
}

// ── running ──────────────────────────────────────────────────────────────────────────────────────

export interface RunOptions {
  /** Only this job and those before it. */
  readonly until?: string;
  /** Its services become the cluster's. */
  readonly deploy?: boolean;
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
  const query = deploy === true ? "?deploy=1" : "";
  const answer = await context.api.send<{ run: string; warnings: string[] }>(
    `runs${query}`, text, YAML);
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

// ── drafts ───────────────────────────────────────────────────────────────────────────────────────

/** `anyway`: over what somebody else has saved. */
export function save(context: Context, { anyway = false }: { anyway?: boolean } = {}): void {
  clearTimeout(saveTimer);
  const { board, draft } = currentDesk();
  if (draft.status === "conflict" && !anyway) return;
  const own = drafts();
  const isNew = draft.name === "";
  const name = isNew
    ? freshId(board.document.name || "untitled", new Set(own.names())) : draft.name;
  const version = anyway ? own.load(name)?.version ?? 0 : draft.version;
  try {
    const saved = own.save(name, board, { version, now: Date.now() });
    update(context, (desk) => ({ ...desk,
      draft: { name, version: saved, saved: board.text, status: "saved" } }));
    if (isNew) context.navigate(withQuery(context.url, { draft: name }), { replace: true });
  } catch (error) {
    const status = error instanceof DraftConflict ? "conflict" : "failed";
    update(context, (desk) => ({ ...desk, draft: { ...desk.draft, name, status } }));
  }
}

/** Mine gets another name, and theirs stays as it is. */
export function saveCopy(context: Context): void {
  update(context, (desk) => ({ ...desk,
    draft: { ...desk.draft, name: "", version: 0, status: "unsaved" } }));
  save(context);
}

export function openDraft(context: Context, draft: Draft): void {
  const { name, version, text, positions } = draft;
  const latest = drafts().load(name)?.version ?? version;
  show(context, { text, name }, (desk) => ({
    ...desk, board: openBoard(text, positions),
    draft: { name, version: latest, saved: text, status: "saved" },
  }));
  context.navigate(withQuery(context.url, { draft: name }), { replace: true });
}

/** A text from elsewhere: a file, a past run. It becomes a draft when it is changed. */
export function openText(context: Context, text: string): void {
  show(context, { text, name: "" }, (desk) => desk);
  context.navigate(withQuery(context.url, { draft: undefined, run: undefined }), { replace: true });
}

function show(
  context: Context, { text, name }: { text: string; name: string }, change: (desk: Desk) => Desk,
): void {
  clearTimeout(saveTimer);
  seen = undefined;
  update(context, (desk) => {
    const { size, tab } = desk;
    return fitted(change({ ...newDesk(text, name), size, tab }));
  });
}

/** The draft or run that the address names, when it is opened. */
export function follow(context: Context): void {
  const name = context.url.searchParams.get("draft");
  if (name === null || name === currentDesk().draft.name) return;
  const draft = drafts().load(name);
  if (draft !== undefined) return openDraft(context, draft);
  update(context, (desk) => ({ ...desk, draft: { ...desk.draft, name } }));
}
