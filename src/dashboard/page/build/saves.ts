/**
 * Lesson 19: drafts, saved and opened.
 *
 * Invariants: of one window there is one save at a time, and the next one has what was changed
 * meanwhile; a save over somebody else's is only done when the person has said so.
 * Test: test/19-dashboard.build.page.test.ts
 */
import { emitYaml } from "#yaml";
import { withQuery } from "../router.ts";
import type { Context } from "../views/view.ts";
import { openBoard } from "./board.ts";
import { draftPlace } from "./boxes.ts";
import { currentDesk, fitted, newDesk, update, type Change, type DraftState } from "./desk.ts";
import { DraftConflict } from "./drafts.ts";
import { freshId } from "./jobs.ts";

const AGAIN_MS = 5_000;

let saving: Promise<void> | undefined;

function withDraft(draft: Partial<DraftState>): Change {
  return (desk) => ({ ...desk, draft: { ...desk.draft, ...draft } });
}

/** In the address. A person who has gone to another view meanwhile is not brought back. */
function nameDraft({ navigate, url }: Context, name: string | undefined): void {
  if (location.pathname !== url.pathname) return;
  navigate(withQuery(url, { draft: name }), { replace: true });
}

/** `anyway`: over what somebody else has saved. */
export async function save(
  context: Context, { anyway = false }: { anyway?: boolean } = {},
): Promise<void> {
  await saving;
  const { draft } = currentDesk();
  if (draft.status === "conflict" && !anyway) return;
  saving = saveNow(context, anyway);
  await saving;
  saving = undefined;
}

async function saveNow(context: Context, anyway: boolean): Promise<void> {
  const { board, draft, from } = currentDesk();
  const { text, positions, files } = board;
  const isNew = draft.name === "";
  update(context, withDraft({ status: "saving" }));
  let { name } = draft;
  try {
    const { drafts, where } = await draftPlace(context.api);
    if (isNew) {
      const taken = (await drafts.list()).map((each) => each.name);
      name = freshId(board.document.name || "untitled", new Set(taken));
    }
    const version = anyway ? (await drafts.versions(name))[0]?.version ?? 0 : draft.version;
    const saved = await drafts.save(name, { text, positions, files, from },
      { version, now: Date.now() });
    update(context, (desk) => withDraft({
      name, version: saved, where, status: desk.board === board ? "saved" : "unsaved", why: "",
    })(desk));
    if (isNew) nameDraft(context, name);
  } catch (error) {
    const status = error instanceof DraftConflict ? "conflict" : "failed";
    update(context, withDraft({ name, status, why: (error as Error).message }));
    // The master may be back by then.
    setTimeout(() => {
      if (currentDesk().draft.status === "failed") void save(context);
    }, AGAIN_MS);
  }
}

/** Mine gets another name, and theirs stays as it is. */
export async function saveCopy(context: Context): Promise<void> {
  update(context, withDraft({ name: "", version: 0, status: "unsaved" }));
  await save(context);
}

/** `version`: an older one. It is saved as the next one once it is changed. */
export async function openDraft(context: Context, name: string, version?: number): Promise<void> {
  const { drafts, where } = await draftPlace(context.api);
  const draft = await drafts.load(name, version);
  if (draft === undefined) {
    throw new Error(`Cannot open the draft ${name}: it is not there any more`);
  }
  const latest = (await drafts.versions(name))[0]?.version ?? draft.version;
  show(context, draft.text, (desk) => ({
    ...desk, board: openBoard(draft.text, draft), from: draft.from,
    draft: { name, version: latest, where, status: "saved", why: "" },
  }));
  nameDraft(context, name);
}

/** A text from elsewhere: a file. It becomes a draft when it is changed. */
export function openText(context: Context, text: string, from?: string): void {
  show(context, text, (desk) => ({ ...desk, from }));
  nameDraft(context, undefined);
}

/** The pipeline of a past run, which uses the folder of that run. */
export async function openRun(context: Context, id: string): Promise<void> {
  const path = `runs/${encodeURIComponent(id)}/definition`;
  openText(context, emitYaml(await context.api.get<object>(path)), id);
}

function show(context: Context, text: string, change: Change): void {
  update(context, ({ size, tab }) => fitted(change({ ...newDesk(text), size, tab })));
}

/** The list for the window that opens drafts. */
export async function listDrafts(context: Context): Promise<void> {
  const { drafts, where } = await draftPlace(context.api);
  const found = await drafts.list();
  update(context, (desk) => ({ ...desk, drafts: found, draft: { ...desk.draft, where } }));
}

/** The draft that the address names, when the page is opened there. */
export async function follow(context: Context): Promise<void> {
  const name = context.url.searchParams.get("draft");
  if (name === null || name === currentDesk().draft.name) return;
  await openDraft(context, name);
}
