/**
 * Lesson 19: the window in which a job gets the inputs for a test: written by hand, or those of a
 * past run.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import type { Job as RunJob, Run } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { currentDesk, update, type Desk } from "./desk.ts";
import { INSTEAD, MAX_FILE_BYTES } from "./files.ts";
import { closeModal, modal } from "./modal.ts";
import { send } from "./tend.ts";
import { fileName, firstGiven, trialOf, wantedOf, type Given, type Wanted } from "./trial.ts";

const MAX_RUNS = 30;

export function trialDialog(desk: Desk, state: State, context: Context): Child {
  const { board: { document, selection }, trials } = desk;
  const [key] = selection;
  if (key === undefined || !document.byKey.has(key)) return null;
  const wanted = wantedOf(document, key);
  const given = trials.get(key) ?? firstGiven(document, key);
  // Two fields may be filled in before the next picture: each change is one of the latest.
  const latest = (now: Desk): Given => now.trials.get(key) ?? given;
  const set: Filling["set"] = (change) => void update(context, (now) => {
    const trials = new Map(now.trials).set(key, { ...latest(now), ...change(latest(now)) });
    return { ...now, trials };
  });
  const start = async (): Promise<void> => {
    await send(context, trialOf(document, key, latest(currentDesk())));
    closeModal(context);
  };
  const isBare = wanted.parents.length === 0 && !wanted.isCall;
  const action = button(`Run ${key} alone`, () => void context.act(start), { kind: "main" });
  return modal(`Test ${key}`, { context, action },
    h("p", { class: "build-help" }, isBare
      ? "It waits for nothing and takes no input: it runs as it is, alone."
      : "It runs alone. What it waits for is not run: it hands on what is written here."),
    wanted.parents.length === 0 ? null : pastRuns(desk, state, { context, wanted, set }),
    wanted.parents.map((id) => field(`Output of ${id}, as JSON`, given.outputs[id] ?? "",
      (text) => set(({ outputs }) => ({ outputs: { ...outputs, [id]: text } })))),
    wanted.files.map((each) => field(`File ${each.path} of ${each.job}`,
      given.files[fileName(each)] ?? "",
      (text) => set(({ files }) => ({ files: { ...files, [fileName(each)]: text } })))),
    wanted.isCall
      ? field("Input, as JSON", given.input, (text) => set(() => ({ input: text }))) : null);
}

function field(label: string, value: string, typed: (text: string) => void): VNode {
  const rows = Math.max(2, Math.min(8, value.split("\n").length));
  return h("label", { class: "build-field", key: label }, label,
    h("textarea", { rows, value, spellcheck: "false",
      oninput: ({ target }: Event) => typed((target as HTMLTextAreaElement).value) }));
}

interface Filling {
  readonly context: Context;
  readonly wanted: Wanted;
  set(change: (latest: Given) => Partial<Given>): void;
}

/** As many as a list to choose from may have: those of this name first, the newest first. */
export function latestRuns({ runs }: State, name?: string): Run[] {
  return [...runs?.values() ?? []]
    .sort((a, b) => Number(b.name === name) - Number(a.name === name) ||
      b.submittedAt - a.submittedAt).slice(0, MAX_RUNS);
}

function pastRuns({ board }: Desk, state: State, filling: Filling): VNode {
  const runs = latestRuns(state, board.document.name);
  const onchange = ({ target }: Event): void => {
    const { value } = target as HTMLSelectElement;
    if (value !== "") void filling.context.act(() => fill(filling, value));
  };
  return h("label", { class: "build-field", key: "runs" }, "Take outputs from a past run",
    h("select", { onchange }, h("option", { value: "" }, "choose…"),
      runs.map(({ id }) => h("option", { key: id, value: id }, id))));
}

/** What the jobs of this run have handed on. The person is told what is missing there. */
async function fill({ context, wanted, set }: Filling, run: string): Promise<void> {
  const { api } = context;
  const path = `runs/${encodeURIComponent(run)}`;
  const { jobs } = await api.get<{ jobs: readonly RunJob[] }>(path);
  const found = new Map(jobs.map((job) => [job.id, job]));
  const outputs = Object.fromEntries(wanted.parents.map((id) => {
    const result = found.get(id)?.result ?? null;
    return [id, result === null ? "" : JSON.stringify(result, undefined, 2)];
  }));
  const kept = await api.get<readonly { name: string; size: number }[]>(
    `artifacts?run=${encodeURIComponent(run)}`);
  const files: Record<string, string> = {};
  const missing = wanted.parents.filter((id) => !found.has(id));
  for (const each of wanted.files) {
    const name = fileName(each);
    const size = kept.find((artifact) => artifact.name === name)?.size;
    if (size === undefined) missing.push(name);
    else files[name] = size > MAX_FILE_BYTES ? "" : await api.text(
      `/api/v1/artifacts/${encodeURIComponent(name)}?run=${encodeURIComponent(run)}`);
    if ((size ?? 0) > MAX_FILE_BYTES || /[\0\ufffd]/.test(files[name] ?? "")) {
      throw new Error(`Cannot take ${name} of ${run}: it is no text of up to 1 MiB. ${INSTEAD}.`);
    }
  }
  set(() => ({ outputs, files }));
  if (missing.length === 0) return;
  const text = `${run} has no ${missing.join(", ")}: left empty.`;
  context.dispatch({ type: "notice", kind: "problem", text });
}
