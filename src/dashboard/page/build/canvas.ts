/**
 * Lesson 19: the canvas of the constructor: jobs as cards, edges as curves. It only draws;
 * pointer.ts and keys.ts say what happens.
 *
 *     .build-canvas               takes all pointers and keys
 *       .build-world              moved and zoomed as one: the browser's compositor does that
 *         svg.build-edges
 *         .build-node × n         a card that has not changed is the same object as before
 *
 * Cards far out of sight are left out once there are many.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { badge } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import type { Job as RunJob } from "../rows.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Desk } from "./desk.ts";
import { textAt, valueOf, type Job, type JobKind } from "./document.ts";
import { farPicture, MOST_CARDS } from "./far.ts";
import { edgesOf, NODE, type Edge, type Point } from "./graph.ts";
import { memo } from "./memo.ts";
import { requirementOf, type Finding } from "./problems.ts";

/** From so many nodes on, only those near the visible part are in the document. */
const MANY = 300;
const AROUND = 400;

export const KINDS: Readonly<Record<JobKind, { name: string; icon: string }>> = {
  task: { name: "task", icon: "running" },
  service: { name: "service", icon: "services" },
  gate: { name: "gate", icon: "approvals" },
  call: { name: "call", icon: "skipped" },
  agent: { name: "agent", icon: "agents" },
};

export type Statuses = ReadonlyMap<string, RunJob> | undefined;

export function world(desk: Desk, statuses: Statuses): VNode {
  const { board, view, gesture, findings, focus } = desk;
  const seen = visible(desk);
  const isFar = seen.length > MOST_CARDS;
  const keys = isFar ? chosen(desk) : seen;
  const deps = [
    board.document, board.positions, board.selection, board.edge, gesture, findings, focus,
    statuses, isFar, keys.join("\n"),
  ];
  // While only the view moves, all that is in it stays the same list.
  const { children } = memo("world", deps, () => contents(desk, statuses, { keys, isFar }));
  const transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
  return { ...h("div", { class: "build-world", style: { transform } }), children };
}

/** From afar only these are cards: what the keyboard is at, and a few that are selected. */
function chosen({ board, focus }: Desk): string[] {
  const keys = board.selection.size > MANY ? [] : [...board.selection];
  return focus === undefined || keys.includes(focus) ? keys : [...keys, focus];
}

function contents(
  desk: Desk, statuses: Statuses, { keys, isFar }: { keys: readonly string[]; isFar: boolean },
): VNode {
  const { board } = desk;
  const shown = new Set(keys);
  const findings = byJob(desk.findings);
  const cards = keys.flatMap((key) => {
    const job = board.document.byKey.get(key);
    return job === undefined ? [] : card(desk, job, {
      findings: findings.get(key) ?? NONE, status: statuses?.get(job.id ?? ""),
    });
  });
  return h("div", null, isFar ? farPicture(board) : edges(desk, shown), cards, band(desk));
}

const NONE: readonly Finding[] = [];

function byJob(findings: readonly Finding[]): Map<string, Finding[]> {
  const found = new Map<string, Finding[]>();
  for (const each of findings) {
    if (each.job === undefined) continue;
    found.set(each.job, [...(found.get(each.job) ?? []), each]);
  }
  return found;
}

function visible({ board, view, size, focus }: Desk): string[] {
  const all = board.document.jobs.map(({ key }) => key);
  if (all.length < MANY || size.width === 0) return all;
  const left = (-view.x - AROUND) / view.zoom;
  const top = (-view.y - AROUND) / view.zoom;
  const right = (size.width - view.x + AROUND) / view.zoom;
  const bottom = (size.height - view.y + AROUND) / view.zoom;
  return all.filter((key) => {
    const { x, y } = board.positions.get(key)!;
    const isNear = x + NODE.width > left && x < right && y + NODE.height > top && y < bottom;
    return isNear || key === focus;
  });
}

/** Where a node is now, on the way with the pointer or not. */
export function placeOf({ board, gesture }: Desk, key: string): Point {
  const at = board.positions.get(key) ?? { x: 0, y: 0 };
  if (gesture?.type !== "nodes" || !board.selection.has(key)) return at;
  return { x: at.x + gesture.by.x, y: at.y + gesture.by.y };
}

// ── cards ────────────────────────────────────────────────────────────────────────────────────────

interface Around {
  readonly findings: readonly Finding[];
  readonly status: RunJob | undefined;
}

function card(desk: Desk, job: Job, { findings, status }: Around): VNode {
  const { board, gesture, focus } = desk;
  const { x, y } = placeOf(desk, job.key);
  const isSelected = board.selection.has(job.key);
  const target = gesture?.type !== "edge" || gesture.over !== job.key ? ""
    : gesture.problem === undefined ? "good" : "bad";
  const tabindex = focus === job.key || (focus === undefined && job.index === 0) ? 0 : -1;
  // The tree is another one after each change of the text: the text of the job itself tells.
  const text = board.document.places.text.slice(job.span.start, job.span.end);
  const deps = [
    text, job.kind, x, y, isSelected, target, tabindex, status?.status, findings.length,
    findings[0]?.message,
  ];
  return memo(`card ${job.key}`, deps, () =>
    drawCard(job, { x, y, isSelected, target, tabindex, status, findings }));
}

interface CardLook extends Point {
  readonly isSelected: boolean;
  readonly target: string;
  readonly tabindex: number;
  readonly status: RunJob | undefined;
  readonly findings: readonly Finding[];
}

function drawCard(job: Job, look: CardLook): VNode {
  const { x, y, isSelected, target, status, findings } = look;
  const errors = findings.filter(({ kind }) => kind === "error").length;
  const mark = errors > 0 ? "error" : findings.length > 0 ? "warning" : "";
  return h("div", {
    key: job.key, class: `build-node build-${job.kind}`, "data-key": job.key, role: "button",
    tabindex: look.tabindex, "aria-pressed": isSelected, "aria-label": nameOf(job, look),
    "data-target": target || undefined, "data-mark": mark || undefined,
    "data-state": status?.status.toLowerCase(),
    title: findings[0]?.message,
    // Not as a transform: each would be a layer to be put in its place, in every frame.
    style: { left: `${x}px`, top: `${y}px` },
  },
  h("span", { class: "build-port build-port-in", "data-port": "in" }),
  h("span", { class: "build-kind" }, icon(KINDS[job.kind].icon)),
  h("span", { class: "build-id" }, job.key),
  h("span", { class: "build-what" }, summaryOf(job)),
  h("span", { class: "build-marks" }, marksOf(job), status ? badge(status.status) : null,
    mark === "" ? null : h("span", { class: `build-alarm build-alarm-${mark}` }, icon("problem"))),
  h("span", { class: "build-port build-port-out", "data-port": "out" }));
}

/** What a person hears: everything that the card shows. */
function nameOf(job: Job, { status, findings }: CardLook): string {
  const parents = job.parents.length === 0 ? "" : `, after ${job.parents.join(" and ")}`;
  const state = status === undefined ? "" : `, ${status.status.toLowerCase()}`;
  const problem = findings.length === 0 ? "" : `, problem: ${findings[0]!.message}`;
  return `${job.key}, ${KINDS[job.kind].name}${parents}${state}${problem}`;
}

const MAX_SUMMARY_CHARS = 60;

/** The first line of what it does; of a gate, what it asks. */
function summaryOf({ node, kind }: Job): string {
  if (kind === "gate") {
    const asked = textAt(node, "hitl_message") ?? textAt(valueOf(node, "hitl") ?? node, "message");
    if (asked !== undefined) return asked.trimStart().split("\n")[0]!.slice(0, MAX_SUMMARY_CHARS);
  }
  for (const key of ["run", "file", "call"]) {
    const text = textAt(node, key);
    if (text !== undefined) return text.trimStart().split("\n")[0]!.slice(0, MAX_SUMMARY_CHARS);
  }
  const command = valueOf(node, "command");
  const words = command?.kind === "sequence" ? command.items : [];
  const text = words.map((word) => (word.kind === "scalar" ? word.text : "")).join(" ");
  return text.slice(0, MAX_SUMMARY_CHARS) || "does nothing yet";
}

function marksOf(job: Job): Child[] {
  const { node } = job;
  const mark = (text: string, title: string): VNode =>
    h("span", { class: "build-mark", title }, text);
  const retries = textAt(node, "retries");
  const replicas = textAt(node, "replicas");
  const priority = textAt(node, "priority");
  return [
    ...requirementOf(job).map((tag) => mark(tag, `needs a worker with ${tag}`)),
    retries && retries !== "0" ? mark(`↻${retries}`, `is repeated ${retries} times`) : null,
    priority && priority !== "1" ? mark(`p${priority}`, `priority ${priority}`) : null,
    replicas && replicas !== "1" ? mark(`×${replicas}`, `${replicas} replicas`) : null,
    valueOf(node, "affinity") ? mark("⚓", "stays where a parent ran") : null,
  ];
}

// ── edges ────────────────────────────────────────────────────────────────────────────────────────

const edgeCache = new WeakMap<object, { all: readonly Edge[]; name: string }>();

function edges(desk: Desk, shown: ReadonlySet<string>): VNode {
  const { board, gesture } = desk;
  let found = edgeCache.get(board.document);
  if (found === undefined) {
    const all = edgesOf(board.document);
    found = { all, name: all.map(({ from, to }) => `${from}\n${to}`).join("\n") };
    edgeCache.set(board.document, found);
  }
  // A letter makes another document, and hardly ever another edge.
  const deps = [found.name, board.positions, board.edge, gesture, [...shown].join("\n")];
  const { all } = found;
  return memo("edges", deps, () => drawEdges(desk, { all, shown }));
}

function drawEdges(
  desk: Desk, { all, shown }: { all: readonly Edge[]; shown: ReadonlySet<string> },
): VNode {
  const { board, gesture } = desk;
  const lines = all.flatMap(({ from, to }) => {
    if (!shown.has(from) && !shown.has(to)) return [];
    const path = curve(outOf(placeOf(desk, from)), inTo(placeOf(desk, to)));
    const isSelected = board.edge?.from === from && board.edge.to === to;
    return memo(`edge ${from}\n${to}`, [path, isSelected], () => h("g", {
      key: `${from}\n${to}`, class: "build-edge", "data-from": from, "data-to": to,
      "data-selected": isSelected || undefined,
    }, h("path", { class: "build-edge-near", d: path }),
    h("path", { class: "build-edge-line", d: path + tip(inTo(placeOf(desk, to))) })));
  });
  const draft = gesture?.type === "edge"
    ? h("path", {
      key: "draft", class: "build-edge-draft", "data-problem": gesture.problem !== undefined,
      d: curve(outOf(placeOf(desk, gesture.from)), gesture.to),
    }) : null;
  return h("svg", { class: "build-edges", key: "edges", "aria-hidden": "true" }, lines, draft);
}

function outOf({ x, y }: Point): Point {
  return { x: x + NODE.width, y: y + NODE.height / 2 };
}

function inTo({ x, y }: Point): Point {
  return { x, y: y + NODE.height / 2 };
}

function curve(from: Point, to: Point): string {
  const bend = Math.max(40, Math.min(120, Math.abs(to.x - from.x) / 2));
  return `M${from.x} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
}

/** A marker would be one more picture for each edge; this is a part of the line. */
function tip({ x, y }: Point): string {
  return `M${x - 10} ${y - 6}L${x - 1} ${y}L${x - 10} ${y + 6}`;
}

function band({ gesture }: Desk): Child {
  if (gesture?.type !== "band") return null;
  const { x, y, width, height } = gesture.box;
  return h("div", {
    class: "build-band",
    key: "band",
    style: { transform: `translate(${x}px, ${y}px)`, width: `${width}px`, height: `${height}px` },
  });
}
