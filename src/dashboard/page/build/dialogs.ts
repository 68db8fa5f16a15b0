/**
 * Lesson 19: the constructor's two windows: open something, and connect a job to another.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import { ago } from "../parts/time.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { connectJobs, focusNode } from "./deeds.ts";
import { newDesk, update, type Desk } from "./desk.ts";
import { edgeProblem, reached } from "./edges.ts";
import { drafts, openDraft, openText } from "./tend.ts";

const MAX_RUNS = 30;
const MAX_CHOICES = 300;
const MAX_FILE_BYTES = 8 * 1024 * 1024;

export function dialogs(desk: Desk, state: State, context: Context): Child {
  if (desk.dialog === "open") return openDialog(state, context);
  return desk.dialog === "connect" ? connectDialog(desk, context) : null;
}

function close(context: Context): void {
  update(context, (desk) => ({ ...desk, dialog: undefined }));
}

function modal(title: string, context: Context, ...content: Child[]): VNode {
  return h("dialog", {
    class: "build-dialog", key: title, "aria-label": title,
    oncancel: (event: Event) => {
      event.preventDefault();
      close(context);
    },
    hook: {
      mount: (element: HTMLElement) => {
        (element as HTMLDialogElement).showModal();
        return () => (element as HTMLDialogElement).close();
      },
    },
  }, h("h2", null, title), ...content,
  h("div", { class: "build-row" }, button("Close", () => close(context))));
}

// ── open ─────────────────────────────────────────────────────────────────────────────────────────

function openDialog(state: State, context: Context): VNode {
  const own = drafts();
  const names = own.names();
  const runs = [...state.runs?.values() ?? []]
    .sort((a, b) => b.submittedAt - a.submittedAt).slice(0, MAX_RUNS);
  return modal("Open a pipeline", context,
    h("div", { class: "build-row" },
      button("New", () => {
        openText(context, newDesk().board.text);
        close(context);
      }),
      h("label", { class: "button" }, "YAML file…",
        h("input", { type: "file", class: "spoken", accept: ".yaml,.yml,.json", onchange:
          (event: Event) => void context.act(() => openFile(event, context)) }))),
    h("h3", null, "Drafts in this browser"),
    names.length === 0 ? h("p", { class: "build-help" }, "None yet: a change is saved as one.") :
      h("ul", { class: "build-list" }, names.map((name) => {
        const versions = own.versions(name);
        const [latest] = versions;
        return h("li", { key: name }, latest === undefined ? name : button(name, () => {
          openDraft(context, latest);
          close(context);
        }, { kind: "quiet" }), latest === undefined ? null : ago(latest.savedAt, state.now),
        versions.length < 2 ? null : older(versions, context));
      })),
    h("h3", null, "Past runs"),
    runs.length === 0 ? h("p", { class: "build-help" }, "No run yet.") :
      h("ul", { class: "build-list" }, runs.map(({ id, submittedAt }) => h("li", { key: id },
        button(id, () => void context.act(async () => {
          const path = `runs/${encodeURIComponent(id)}/definition`;
          openText(context, (await context.api.get<{ yaml: string }>(path)).yaml);
          close(context);
        }), { kind: "quiet" }), ago(submittedAt, state.now)))));
}

type Versions = ReturnType<ReturnType<typeof drafts>["versions"]>;

function older(versions: Versions, context: Context): VNode {
  const onchange = (event: Event): void => {
    const chosen = versions[Number((event.target as HTMLSelectElement).value)];
    if (chosen === undefined) return;
    openDraft(context, chosen);
    close(context);
  };
  return h("select", { "aria-label": `Versions of ${versions[0]!.name}`, onchange },
    h("option", { value: "" }, "older…"),
    versions.slice(1).map(({ version, savedAt }, at) => h("option", { value: at + 1 },
      `version ${version}, ${new Date(savedAt).toLocaleTimeString()}`)));
}

async function openFile(event: Event, context: Context): Promise<void> {
  const file = (event.target as HTMLInputElement).files?.[0];
  if (file === undefined) return;
  if (file.size > MAX_FILE_BYTES) {
    throw new Error(`Cannot open ${file.name}: it is larger than 8 MiB`);
  }
  openText(context, await file.text());
  close(context);
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
    close(context);
    connectJobs(context, job.key, to);
    focusNode(job.key);
  };
  return modal(`Connect ${job.key}`, context,
    h("p", { class: "build-help" }, `Jobs that wait for ${job.key}:`),
    others.length === 0 ? h("p", null, "There is no other job yet.") :
      h("ul", { class: "build-list" }, others.map((other) => {
        const isOpen = !before.has(other.id) && !other.parents.includes(job.id ?? "");
        const problem = isOpen ? undefined : edgeProblem(board.document, job, other);
        return h("li", { key: other.key },
          button(other.key, () => choose(other.key), { disabled: problem !== undefined }),
          problem === undefined ? null : h("span", { class: "build-help" }, problem));
      })));
}
