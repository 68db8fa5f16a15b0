/**
 * Lesson 19: the side panel: the fields of the selected job, or of the pipeline when none is
 * selected. It is made of the table of fields, so a key that the reader learns is here, too.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import { pathTo } from "../router.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { control, holding, textOf } from "./controls.ts";
import {
  align, connectJobs, disconnectJobs, duplicate, remove, rename,
} from "./deeds.ts";
import { update, type Desk } from "./desk.ts";
import { parentsNode, textAt, valueOf, type Job } from "./document.ts";
import { reached } from "./edges.ts";
import { GROUPS, type Field } from "./field.ts";
import { FIELDS } from "./fields.ts";
import { fileRow } from "./files-tab.ts";
import type { Side } from "./graph.ts";
import { run } from "./tend.ts";

/** A longer list is no help: the YAML is there. */
const MAX_NEW_PARENTS = 300;

export function panel(desk: Desk, context: Context): VNode {
  const { board } = desk;
  const keys = [...board.selection];
  const job = keys.length === 1 ? board.document.byKey.get(keys[0]!) : undefined;
  const content = job !== undefined ? jobPanel(desk, context, job)
    : keys.length > 1 ? manyPanel(context, keys.length) : pipelinePanel(desk, context);
  return h("section", { class: "build-panel", "aria-label": "Fields" }, content);
}

function pipelinePanel(desk: Desk, context: Context): Child {
  const { board } = desk;
  const { root } = board.document;
  const findings = desk.findings.filter(({ job }) => job === undefined);
  const fields = FIELDS.pipeline.filter(({ key }) => key !== "jobs");
  return [
    h("h2", { key: "title" }, "Pipeline"),
    findings
      .filter(({ field }) => field === undefined || field === "jobs")
      .map(({ message, kind }) =>
        h("p", { class: `build-finding build-finding-${kind}`, key: message }, message),
      ),
    h(
      "div",
      { class: "build-fields", key: "pipeline" },
      fields.map((field) =>
        control({
          context,
          field,
          path: [field.key],
          node: valueOf(root, field.key),
          findings,
          disabled: board.refusal !== undefined,
        }),
      ),
    ),
  ];
}

function manyPanel(context: Context, count: number): Child {
  const sides: readonly [Side, string][] = [
    ["left", "Left edges"], ["top", "Upper edges"], ["centre", "Centres"], ["middle", "Middles"],
  ];
  return [
    h("h2", { key: "title" }, `${count} jobs`),
    h("div", { class: "build-row", key: "do" },
      button("Duplicate", () => duplicate(context)),
      button("Delete", () => remove(context), { kind: "danger" })),
    h("h3", { key: "align" }, "Align"),
    h("div", { class: "build-row", key: "sides" },
      sides.map(([side, name]) => button(name, () => align(context, side), { key: side }))),
  ];
}

function jobPanel(desk: Desk, context: Context, job: Job): Child {
  const { board } = desk;
  const findings = desk.findings.filter((each) => each.job === job.key);
  const isService = textAt(job.node, "type") === "service";
  const disabled = board.refusal !== undefined;
  const main = mainField(job);
  const isShown = (field: Field): boolean => {
    if (field.kind === "jobs" || field.key === "id" || field.alias !== undefined) return false;
    if (valueOf(job.node, field.key) !== undefined) return true;
    if (field.only === undefined) return true;
    if (field.only === "service") return isService;
    if (field.only === "ends") return !isService;
    return valueOf(job.node, field.only) !== undefined;
  };
  const drawn = (field: Field): Child => [control({
    context, field, path: ["jobs", job.index, field.key], findings, disabled,
    node: valueOf(job.node, field.key),
  }), field.key === "file" ? fileRow(context, job, disabled) : null];
  const parts = GROUPS.map((name) => {
    const fields = FIELDS.job.filter((field) =>
      field.group === name && field !== main && isShown(field));
    const edges = name === "When it runs" ? edgeFields(desk, context, job) : null;
    if (fields.length === 0 && edges === null) return null;
    return h("fieldset", { class: "build-part", key: name }, h("legend", null, name), edges,
      fields.map(drawn));
  });
  return [
    h("h2", { key: "title" }, `Job ${job.key}`),
    h(
      "div",
      { class: "build-row", key: "do" },
      button("Connect…", () => update(context, (now) => ({ ...now, dialog: "connect" })), {
        disabled,
      }),
      button("Duplicate", () => duplicate(context), { disabled }),
      button("Run to here", () => void context.act(() => run(context, { until: job.key })),
        { disabled, label: `Run ${job.key} and the jobs before it` }),
      button("Test…", () => update(context, (now) => ({ ...now, dialog: "trial" })),
        { disabled, label: `Test ${job.key} alone` }),
      button("Delete", () => remove(context), { kind: "danger", disabled }),
      desk.run === undefined || job.id === undefined ? null
        : h("a", { href: pathTo(["runs", desk.run], { job: job.id }) }, "Output"),
    ),
    findings
      .filter(({ field }) => field === undefined)
      .map(({ message, kind }) =>
        h("p", { class: `build-finding build-finding-${kind}`, key: message }, message),
      ),
    h("div", { class: "build-fields", key: job.key }, idField(context, job, disabled),
      main === undefined ? null : drawn(main), parts),
  ];
}

/** What the card shows of a job: the first thing that a person wants to change. */
function mainField({ node, kind }: Job): Field | undefined {
  const keys = [...(kind === "gate" ? ["hitl_message"] : []), "run", "file", "call", "command"];
  const key = keys.find((each) => valueOf(node, each) !== undefined);
  return FIELDS.job.find((field) => field.key === key);
}

/** Other jobs name the id: it changes when it is finished, and they follow. */
function idField(context: Context, job: Job, disabled: boolean): VNode {
  const id = `build-id-${job.index}`;
  const onchange = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    if (input.value !== job.id && !rename(context, job.key, input.value)) {
      input.value = job.id ?? "";
    }
  };
  return h("div", { class: "build-field", key: "id" },
    h("label", { for: id }, "id"),
    h("input", { id, type: "text", hook: holding(textOf(valueOf(job.node, "id"))), onchange,
      disabled, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-help` }),
    h("p", { class: "build-help", id: `${id}-help` },
      "Unique in the file. Jobs that name this one follow."));
}

/** The edges of a job as lists, for the keyboard and for fingers. */
function edgeFields(desk: Desk, context: Context, job: Job): VNode {
  const { document } = desk.board;
  // A job that comes later, or before it already, cannot become a parent.
  const later = job.id === undefined ? new Set<string>() : reached(document, job.id);
  const parents = document.jobs.filter(({ id }) => id !== undefined && id !== job.id &&
    !later.has(id) && !job.parents.includes(id)).slice(0, MAX_NEW_PARENTS);
  const key = parentsNode(job.node)?.key ?? "depends_on";
  const id = `build-parent-${job.index}`;
  const onchange = (event: Event): void => {
    const select = event.target as HTMLSelectElement;
    if (select.value !== "") connectJobs(context, select.value, job.key);
    select.value = "";
  };
  return h("div", { class: "build-field build-field-jobs", key: "parents" },
    h("label", { for: id }, key),
    h("ul", { class: "build-chips" }, job.parents.map((parent) => h("li", { key: parent }, parent,
      button("×", () => disconnectJobs(context, parent, job.key),
        { kind: "quiet", label: `Do not wait for ${parent}` })))),
    h("select", { id, onchange, disabled: parents.length === 0 },
      h("option", { value: "" }, parents.length === 0 ? "no other job can come first" :
        "wait for…"),
      parents.map((other) => h("option", { value: other.key }, other.key))),
    h("p", { class: "build-help" }, "The jobs before this one: its parents."));
}
