/**
 * Lesson 19: the constructor's windows: open something, connect a job to another, and
 * (trial-dialog.ts) test a job.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import { ago, exact } from "../parts/time.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { connectJobs, focusNode } from "./deeds.ts";
import { newDesk, type Desk } from "./desk.ts";
import type { DraftInfo } from "./drafts.ts";
import { edgeProblem, reached } from "./edges.ts";
import { closeModal, modal } from "./modal.ts";
import { openDraft, openRun, openText } from "./saves.ts";
import { latestRuns, trialDialog } from "./trial-dialog.ts";

const MAX_CHOICES = 300;
const MAX_PIPELINE_BYTES = 8 * 1024 * 1024;

export function dialogs(desk: Desk, state: State, context: Context): Child {
  if (desk.dialog === "open") return openDialog(desk, state, context);
  if (desk.dialog === "trial") return trialDialog(desk, state, context);
  return desk.dialog === "connect" ? connectDialog(desk, context) : null;
}

// ── open ─────────────────────────────────────────────────────────────────────────────────────────

function openDialog({ drafts, draft }: Desk, state: State, context: Context): VNode {
  const runs = latestRuns(state);
  return modal("Open a pipeline", { context },
    h("div", { class: "build-row" },
      button("New", () => {
        openText(context, newDesk().board.text);
        closeModal(context);
      }),
      h("label", { class: "button" }, "YAML file…",
        h("input", { type: "file", class: "spoken", accept: ".yaml,.yml,.json", onchange:
          (event: Event) => void context.act(() => openPipeline(event, context)) }))),
    h("h3", null, `Drafts ${draft.where}`),
    drafts === undefined ? h("p", { class: "loading" }, "Loading…")
      : drafts.length === 0 ? h("p", { class: "build-help" }, "None yet: a change is saved as one.")
      : h("ul", { class: "build-list" }, drafts.map((each) => draftRow(each, state, context))),
    h("h3", null, "Past runs"),
    runs.length === 0 ? h("p", { class: "build-help" }, "No run yet.") :
      h("ul", { class: "build-list" }, runs.map(({ id, submittedAt }) => h("li", { key: id },
        button(id, () => void context.act(async () => {
          await openRun(context, id);
          closeModal(context);
        }), { kind: "quiet" }), ago(submittedAt, state.now)))));
}

function draftRow({ name, versions }: DraftInfo, state: State, context: Context): VNode {
  const open = (version?: number): void => void context.act(async () => {
    await openDraft(context, name, version);
    closeModal(context);
  });
  const onchange = (event: Event): void => {
    const { value } = event.target as HTMLSelectElement;
    if (value !== "") open(Number(value));
  };
  return h("li", { key: name },
    button(name, () => open(), { kind: "quiet" }), ago(versions[0]!.savedAt, state.now),
    versions.length < 2 ? null : h("select", { "aria-label": `Versions of ${name}`, onchange },
      h("option", { value: "" }, "older…"),
      versions.slice(1).map(({ version, savedAt }) => h("option", { value: version },
        `version ${version}, ${exact(savedAt)}`))));
}

async function openPipeline(event: Event, context: Context): Promise<void> {
  const file = (event.target as HTMLInputElement).files?.[0];
  if (file === undefined) return;
  if (file.size > MAX_PIPELINE_BYTES) {
    throw new Error(`Cannot open ${file.name}: it is larger than 8 MiB`);
  }
  openText(context, await file.text());
  closeModal(context);
}

// ── connect ──────────────────────────────────────────────────────────────────────────────────────

/** For those who do not drag: all jobs, and why some cannot come next. */
function connectDialog({ board }: Desk, context: Context): Child {
  const [key] = board.selection;
  const job = key === undefined ? undefined : board.document.byKey.get(key);
  if (job === undefined) return null;
  const others = board.document.jobs.filter((each) => each !== job).slice(0, MAX_CHOICES);
  const before = job.id === undefined ? new Set() : reached(board.document, job.id, { up: true });
  const choose = (to: string): void => {
    closeModal(context);
    connectJobs(context, job.key, to);
    focusNode(job.key);
  };
  return modal(`Connect ${job.key}`, { context },
    h("p", { class: "build-help" }, `Choose the job that will wait for ${job.key}:`),
    others.length === 0 ? h("p", null, "There is no other job yet.") :
      h("ul", { class: "build-list" }, others.map((other) => {
        const isOpen = !before.has(other.id) && !other.parents.includes(job.id ?? "");
        const problem = isOpen ? undefined : edgeProblem(board.document, job, other);
        return h("li", { key: other.key },
          button(other.key, () => choose(other.key), { disabled: problem !== undefined }),
          problem === undefined ? null : h("span", { class: "build-help" }, problem));
      })));
}
