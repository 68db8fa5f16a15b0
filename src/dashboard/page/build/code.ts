/**
 * Lesson 19: the pipeline as text: the YAML itself and the files that it names, which can be
 * edited, and the same as a program in TypeScript and Python. All of it can be taken along.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { normalizeYaml } from "#yaml";
import { button } from "../parts/page.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { typed } from "./board.ts";
import { onBoard, update, type Desk } from "./desk.ts";
import type { Document } from "./document.ts";
import { editor } from "./editor.ts";
import { filesTab } from "./files-tab.ts";
import { toPython } from "./python.ts";
import { applySplices, difference } from "./splice.ts";
import { toTypeScript } from "./typescript.ts";
import { pipelineValue } from "./values.ts";

const TABS = [
  ["yaml", "YAML"], ["files", "Files"], ["typescript", "TypeScript"], ["python", "Python"],
] as const;

export function code(desk: Desk, context: Context): VNode {
  return h("section", { class: "build-code", "aria-label": "Text" },
    h("div", { class: "build-tabs", role: "tablist", "aria-label": "Languages",
      onkeydown: (event: KeyboardEvent) => arrows(desk, context, event) },
    TABS.map(([tab, name]) => h("button", {
      key: tab, type: "button", role: "tab", id: `build-tab-${tab}`,
      "aria-selected": desk.tab === tab, "aria-controls": "build-tabpanel",
      tabindex: desk.tab === tab ? 0 : -1, onclick: () => openFile(context, tab),
    }, name)),
    desk.tab === "files" ? null : exports(desk, context)),
    h("div", { class: "build-tabpanel", role: "tabpanel", id: "build-tabpanel",
      "aria-labelledby": `build-tab-${desk.tab}` },
    desk.tab === "yaml" ? yaml(desk, context) : desk.tab === "files" ? filesTab(desk, context) :
      h("pre", {
      key: desk.tab, class: "build-program", tabindex: 0,
      "aria-label": desk.tab === "python" ? "Program in Python" : "Program in TypeScript",
    }, program(desk.board.document, desk.tab))),
    below(desk));
}

const ENDINGS: Partial<Record<Desk["tab"], string>> = { typescript: "mts", python: "py" };

/** The text that is shown, to be taken along. */
function exports({ board, tab }: Desk, context: Context): Child {
  const text = (): string => (tab === "yaml" ? board.text : program(board.document, tab));
  const name = `${board.document.name || "pipeline"}.${ENDINGS[tab] ?? "yaml"}`;
  return [
    button("Copy", () => void context.act(() => navigator.clipboard.writeText(text()), "Copied"),
      { kind: "quiet" }),
    button("Save", () => {
      const href = URL.createObjectURL(new Blob([text()]));
      Object.assign(document.createElement("a"), { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href));
    }, { kind: "quiet", label: `Save as ${name}` }),
  ];
}

function openFile(context: Context, tab: Desk["tab"]): void {
  update(context, (desk) => ({ ...desk, tab }));
}

function arrows(desk: Desk, context: Context, event: KeyboardEvent): void {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined) return;
  const at = TABS.findIndex(([tab]) => tab === desk.tab);
  const [next] = TABS[(at + step + TABS.length) % TABS.length]!;
  openFile(context, next);
  document.getElementById(`build-tab-${next}`)?.focus();
}

const programs = new WeakMap<Document, Partial<Record<string, string>>>();

function program(own: Document, tab: string): string {
  const kept = programs.get(own) ?? {};
  programs.set(own, kept);
  const write = tab === "python" ? toPython : toTypeScript;
  return (kept[tab] ??= write(pipelineValue(own.root)));
}

// ── the YAML ─────────────────────────────────────────────────────────────────────────────────────

function yaml(desk: Desk, context: Context): VNode {
  const { text, refusal } = desk.board;
  const marks = new Map<number, string>();
  for (const { line, kind } of desk.findings) {
    if (line !== undefined && marks.get(line) !== "error") marks.set(line, kind);
  }
  if (refusal !== undefined) marks.set(refusal.line, "error");
  return editor(context, {
    label: "YAML", text: normalizeYaml(text), marks, invalid: refusal !== undefined,
    typed: (value) => void update(context, onBoard((board) => typed(board,
      applySplices(board.text, [difference(board.text, value)])))),
  });
}

/** What is wrong, in words, under the text. */
function below({ board, findings }: Desk): VNode {
  const { refusal } = board;
  const lines = refusal !== undefined
    ? [{ kind: "error", text: `Line ${refusal.line}: ${refusal.reason}. The canvas waits.` }]
    : findings.map(({ kind, line, message }) =>
      ({ kind, text: line === undefined ? message : `Line ${line}: ${message}` }));
  return h(
    "ul",
    { class: "build-findings", "aria-label": "Problems", role: "list" },
    lines.map(({ kind, text }) =>
      h("li", { class: `build-finding build-finding-${kind}`, key: text }, text),
    ),
  );
}
