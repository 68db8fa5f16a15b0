/**
 * Lesson 19: the pipeline as text: the YAML itself, which can be edited, and the same as a program
 * in TypeScript and Python, which can be copied.
 *
 * The editor is the browser's own, with line numbers beside it: it knows every keyboard, every
 * screen reader and every phone.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { normalizeYaml } from "#yaml";
import { button } from "../parts/page.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { typed } from "./board.ts";
import { redoNext, undoLast } from "./deeds.ts";
import { onBoard, update, type Desk } from "./desk.ts";
import type { Document } from "./document.ts";
import { toPython } from "./python.ts";
import { applySplices, difference } from "./splice.ts";
import { toTypeScript } from "./typescript.ts";
import { pipelineValue } from "./values.ts";

const TABS = [["file", "File"], ["typescript", "TypeScript"], ["python", "Python"]] as const;

export function code(desk: Desk, context: Context): VNode {
  return h("section", { class: "build-code", "aria-label": "Text" },
    h("div", { class: "build-tabs", role: "tablist", "aria-label": "Languages",
      onkeydown: (event: KeyboardEvent) => arrows(desk, context, event) },
    TABS.map(([tab, name]) => h("button", {
      key: tab, type: "button", role: "tab", id: `build-tab-${tab}`,
      "aria-selected": desk.tab === tab, "aria-controls": "build-tabpanel",
      tabindex: desk.tab === tab ? 0 : -1, onclick: () => open(context, tab),
    }, name)),
    desk.tab === "file" ? null : button("Copy", () => void context.act(
      () => navigator.clipboard.writeText(program(desk.board.document, desk.tab)), "Copied"),
    { kind: "quiet" })),
    h("div", { class: "build-tabpanel", role: "tabpanel", id: "build-tabpanel",
      "aria-labelledby": `build-tab-${desk.tab}` },
    desk.tab === "file" ? editor(desk, context) : h("pre", {
      key: desk.tab, class: "build-program", tabindex: 0,
      "aria-label": desk.tab === "python" ? "Program in Python" : "Program in TypeScript",
    }, program(desk.board.document, desk.tab))),
    below(desk));
}

function open(context: Context, tab: Desk["tab"]): void {
  update(context, (desk) => ({ ...desk, tab }));
}

function arrows(desk: Desk, context: Context, event: KeyboardEvent): void {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined) return;
  const at = TABS.findIndex(([tab]) => tab === desk.tab);
  const [next] = TABS[(at + step + TABS.length) % TABS.length]!;
  open(context, next);
  document.getElementById(`build-tab-${next}`)?.focus();
}

const programs = new WeakMap<Document, Partial<Record<string, string>>>();

function program(own: Document, tab: string): string {
  const kept = programs.get(own) ?? {};
  programs.set(own, kept);
  const write = tab === "python" ? toPython : toTypeScript;
  return (kept[tab] ??= write(pipelineValue(own.root)));
}

// ── the editor ───────────────────────────────────────────────────────────────────────────────────

function editor(desk: Desk, context: Context): VNode {
  const { text, refusal } = desk.board;
  const shown = normalizeYaml(text);
  const marks = new Map<number, string>();
  for (const { line, kind } of desk.findings) {
    if (line !== undefined && marks.get(line) !== "error") marks.set(line, kind);
  }
  if (refusal !== undefined) marks.set(refusal.line, "error");
  const oninput = (event: Event): void => {
    const { value } = event.target as HTMLTextAreaElement;
    update(context, onBoard((board) => typed(board, applySplices(board.text,
      [difference(board.text, value)]))));
  };
  return h("div", { class: "build-editor", key: "editor" },
    numbers(shown, marks),
    h("textarea", {
      class: "build-text", "aria-label": "YAML", wrap: "off", spellcheck: "false",
      autocapitalize: "off", autocomplete: "off", value: shown, oninput,
      "aria-invalid": refusal !== undefined || undefined,
      onkeydown: (event: KeyboardEvent) => keys(event, context),
      onscroll: (event: Event) => {
        const { scrollTop } = event.target as HTMLElement;
        const beside = (event.target as HTMLElement).previousElementSibling as HTMLElement;
        beside.scrollTop = scrollTop;
      },
    }));
}

/** Numbers as one text; only lines with a mark are elements of their own. */
function numbers(text: string, marks: ReadonlyMap<number, string>): VNode {
  const count = text.split("\n").length;
  const parts: Child[] = [];
  let plain = "";
  for (let line = 1; line <= count; line++) {
    const mark = marks.get(line);
    if (mark === undefined) plain += `${line}\n`;
    else {
      parts.push(plain, h("mark", { class: `build-line-${mark}` }, `${line}\n`));
      plain = "";
    }
  }
  return h("div", { class: "build-numbers", "aria-hidden": "true" }, parts, `${plain}\n\n`);
}

/** Tab leaves the editor, as everywhere; undo is the constructor's, which knows the canvas, too. */
function keys(event: KeyboardEvent, context: Context): void {
  if (!event.ctrlKey && !event.metaKey) return;
  const letter = event.key.toLowerCase();
  const deed = letter === "z" ? (event.shiftKey ? redoNext : undoLast) :
    letter === "y" ? redoNext : undefined;
  if (deed === undefined) return;
  event.preventDefault();
  deed(context);
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
