/**
 * Lesson 19: an edit of a pipeline's text: a value is set or taken out, and everything else stays
 * as its author wrote it, comments and order included.
 *
 *     setAt(document, ["jobs", 0, "retries"], 2)      `retries: 2`, below the entry before it
 *     removeAt(document, ["jobs", 0, "env", "A"])     the line, and `env:` if nothing is left in it
 *
 * A value that an alias or a merge key brings is not changed where it is written, since other jobs
 * have it, too: the job gets its own.
 *
 * Invariants: nothing outside of the place of the edit changes; a comment behind a value stays.
 * Test: test/19-dashboard.build.test.ts
 */
import type { MappingNode, SequenceNode, Span, YamlNode } from "#yaml";
import type { Places, Path, Slot } from "./slots.ts";
import { plainValue } from "./slots.ts";
import type { Splice } from "./splice.ts";
import { behindDash, behindKey, entryLines, flow } from "./write.ts";

export interface Editable {
  readonly places: Places;
  readonly root: YamlNode;
  /** The keys of a map in the order in which people write them. */
  readonly order: (path: Path) => readonly string[];
}

/** What cannot be done in this text, and why. */
export class EditError extends Error {
  override readonly name = "EditError";
}

// ── setting ──────────────────────────────────────────────────────────────────────────────────────

export function setAt(edited: Editable, path: Path, value: unknown): Splice[] {
  return setIn(edited, edited.places.rootSlot(edited.root), { done: [], rest: path, value });
}

interface Wish {
  readonly done: Path;
  readonly rest: Path;
  readonly value: unknown;
}

function setIn(edited: Editable, slot: Slot, wish: Wish): Splice[] {
  const { places } = edited;
  const { done, rest: [head, ...rest], value } = wish;
  if (head === undefined) return replaceValue(places, slot, value);
  const { node } = slot;
  if (!slot.isOwn) {
    const changed = withChange(plainValue(node), wish.rest, value);
    return replaceValue(places, slot, changed);
  }
  const next = { done: [...done, head], rest, value };
  if (node.kind === "mapping") {
    const found = places.entrySlot(node, String(head));
    const here = found && isIn(slot, found.span, places);
    if (found && here) return setIn(edited, found, next);
    const whole = found ? withChange(plainValue(found.node), rest, value) : built(rest, value);
    const order = edited.order(done);
    return insertEntry(places, slot as Slot & { node: MappingNode }, {
      key: String(head), value: whole, order,
    });
  }
  if (node.kind === "sequence") {
    const found = places.itemSlot(node, Number(head));
    if (found) return setIn(edited, found, next);
    return appendItem(places, slot as Slot & { node: SequenceNode }, built(rest, value));
  }
  return replaceValue(places, slot, built(wish.rest, value));
}

function isIn({ node, span: { end } }: Slot, span: Span, places: Places): boolean {
  return span.start >= places.offset(node) && span.start < end;
}

/** `["a", "b"], 1` is `{a: {b: 1}}`; a number makes a list. */
function built(path: Path, value: unknown): unknown {
  return path.reduceRight<unknown>(
    (inner, step) => (typeof step === "number" ? [inner] : { [step]: inner }), value);
}

export function withChange(whole: unknown, path: Path, value: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (Array.isArray(whole)) {
    const copy = [...whole];
    copy[Number(head)] = withChange(copy[Number(head)], rest, value);
    return copy.filter((item) => item !== undefined);
  }
  if (typeof whole !== "object" || whole === null) return built(path, value);
  const own = whole as Record<string, unknown>;
  const copy = { ...own, [head]: withChange(own[head], rest, value) };
  if (copy[head] === undefined) delete copy[head];
  return copy;
}

/** Puts another value into a slot. */
export function replaceValue(places: Places, slot: Slot, value: unknown): Splice[] {
  const { node, span, column, key } = slot;
  const { text } = places;
  if (slot.inFlow) return [replaceInFlow(places, slot, value)];
  const written = key === undefined ? behindDash(value, column) : behindKey(key, value, column);
  const cut = written.indexOf("\n");
  const [first, more] = cut < 0 ? [written, ""] : [written.slice(0, cut), written.slice(cut)];
  if (slot.isOwn && isBlockNode(places, node)) {
    const head = /^[ \t]*(&\S+)?[ \t]*(?:[|>][-+0-9]*)?[ \t]*(#.*)?$/.exec(
      text.slice(span.value, places.lineEnd(span.value)));
    const anchor = head?.[1] === undefined ? "" : ` ${head[1]}`;
    const comment = head?.[2] === undefined ? "" : `  ${head[2]}`;
    const to = places.lineEnd(span.end);
    return [{ from: span.value, to, text: `${anchor}${first}${comment}${more}` }];
  }
  const end = places.lineEnd(span.end);
  const rest = more === "" ? [] : [{ from: end, to: end, text: more }];
  if (span.end === span.value) return [{ from: span.end, to: span.end, text: first }, ...rest];
  let from = slot.isOwn ? places.offset(node) : span.value;
  if (!slot.isOwn) while (text[from] === " ") from++;
  if (first === "") while (text[from - 1] === " ") from--;
  return [{ from, to: span.end, text: first.trimStart() }, ...rest];
}

/** Lines below a key, which end with their line: a list of dashes, a map without braces, `|`. */
function isBlockNode(places: Places, node: YamlNode): boolean {
  if (node.kind === "scalar") return node.style === "literal" || node.style === "folded";
  return !places.hasBrackets(node);
}

function replaceInFlow(places: Places, slot: Slot, value: unknown): Splice {
  const { span, node } = slot;
  const text = flow(value, isJson(places));
  if (span.end === span.value) {
    const pad = slot.key === undefined ? "" : " ";
    return { from: span.value, to: span.end, text: pad + text };
  }
  let from = slot.isOwn ? places.offset(node) : span.value;
  if (!slot.isOwn) while (/[ \t\n]/.test(places.text[from] ?? "")) from++;
  return { from, to: span.end, text };
}

/** A text that begins with a brace is JSON, as far as anybody can see: what is added has quotes. */
function isJson(places: Places): boolean {
  return /^\s*[{[]/.test(places.text);
}

export function insertEntry(
  places: Places, slot: Slot & { node: MappingNode },
  { key, value, order }: { key: string; value: unknown; order: readonly string[] },
): Splice[] {
  const { node, span } = slot;
  const own = places.ownEntries(node, Math.max(span.end, places.offset(node) + 1));
  const place = order.indexOf(key);
  const before = place === 0 ? undefined : own.findLast((entry) => {
    const at = order.indexOf(entry.key.text);
    return at >= 0 && place >= 0 && at < place;
  }) ?? own.at(-1);
  const start = places.offset(node);
  if (places.hasBrackets(node)) {
    const json = isJson(places);
    const text = `${flow(key, json)}: ${flow(value, json)}`;
    const comma = node.entries.length === 0 ? "" : ", ";
    if (before === undefined) return [{ from: start + 1, to: start + 1, text: text + comma }];
    return [afterFlow(places, before.span!, text)];
  }
  const column = node.column - 1;
  const pad = " ".repeat(column);
  const lines = entryLines(key, value, column);
  if (before === undefined) return [{ from: start, to: start, text: `${lines}\n${pad}` }];
  const { end } = places.entrySlot(node, before.key.text)!.span;
  const at = places.lineEnd(end);
  return [{ from: at, to: at, text: `\n${pad}${lines}` }];
}

/** Between brackets: on a line of its own if the one before is. */
function afterFlow(places: Places, { start, end }: Span, text: string): Splice {
  const lineStart = places.lineStart(start);
  const indent = places.text.slice(lineStart, start);
  const separator = indent.trim() === "" && lineStart > 0 ? `,\n${indent}` : ", ";
  return { from: end, to: end, text: separator + text };
}

export function appendItem(
  places: Places, slot: Slot & { node: SequenceNode }, value: unknown,
): Splice[] {
  const { node } = slot;
  const last = places.itemSlot(node, node.items.length - 1);
  if (places.hasBrackets(node)) {
    const text = flow(value, isJson(places));
    const at = places.offset(node) + 1;
    if (last === undefined) return [{ from: at, to: at, text }];
    return [afterFlow(places, last.span, text)];
  }
  const column = node.column - 1;
  const at = places.lineEnd(last!.span.end);
  const text = `\n${" ".repeat(column)}-${behindDash(value, column)}`;
  return [{ from: at, to: at, text }];
}

// ── taking out ───────────────────────────────────────────────────────────────────────────────────

export function removeAt(edited: Editable, path: Path): Splice[] {
  const { places, root } = edited;
  const owner = places.find(root, path.slice(0, -1));
  const last = path.at(-1)!;
  const found = places.find(root, path);
  if (owner === undefined || found === undefined || owner.node.kind === "scalar") return [];
  if (!owner.isOwn) {
    return replaceValue(places, owner, withChange(plainValue(owner.node), [last], undefined));
  }
  const isKept = path.length === 1 || (path.length === 3 && path[0] === "jobs");
  const { node } = owner;
  if (node.kind === "mapping") {
    if (!isIn(owner, found.span, places)) {
      throw new EditError(`"${last}" comes from an anchor: give the job a value of its own`);
    }
    if (node.entries.length > 1) return [removePart(places, node, found.span)];
  } else if (node.items.length > 1) return [removePart(places, node, found.span)];
  return isKept ? replaceValue(places, owner, node.kind === "mapping" ? {} : []) :
    removeAt(edited, path.slice(0, -1));
}

/** Cuts an entry or item out of its collection, which has others. */
export function removePart(places: Places, owner: MappingNode | SequenceNode, cut: Span): Splice {
  const { text } = places;
  const spans = owner.kind === "sequence" ? owner.spans! : owner.entries.map(({ span }) => span!);
  const next = spans.find(({ start }) => start > cut.start);
  if (places.hasBrackets(owner)) {
    const before = spans.findLast(({ start }) => start < cut.start);
    if (next) return { from: cut.start, to: next.start, text: "" };
    return { from: before?.end ?? cut.start, to: cut.end, text: "" };
  }
  const [lineStart, lineEnd] = [places.lineStart(cut.start), places.lineEnd(cut.end)];
  if (text.slice(lineStart, cut.start).trim() !== "") {
    // The first entry of an item stands behind the item's dash: the next one takes its place.
    const between = next && text.slice(lineEnd, next.start);
    if (next && between?.trim() === "") return { from: cut.start, to: next.start, text: "" };
    const dash = text.slice(lineStart, cut.start).trimEnd().length;
    return { from: lineStart + dash, to: lineEnd, text: "" };
  }
  if (lineEnd < text.length) return { from: lineStart, to: lineEnd + 1, text: "" };
  return { from: Math.max(0, lineStart - 1), to: lineEnd, text: "" };
}
