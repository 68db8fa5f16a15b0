/**
 * Lesson 19: the constructor's own state and what can happen to it. Pure: no document, no clock.
 *
 *     typed · changed · moved · selected ──▶ board ──▶ canvas, panel, YAML, TypeScript, Python
 *                                             │ ▲
 *                                     undo, redo: a list of texts and positions
 *
 * A text that cannot be read is kept, and the canvas stays as it was until it can.
 *
 * Invariants: undo takes back everything that changes the text, a file or a place, one step at a
 * time, and redo brings exactly that back; looking around and selecting are no steps.
 * Test: test/19-dashboard.build.board.test.ts
 */
import { isDocument, readDocument, type Document, type Refusal } from "./document.ts";
import { NO_FILES, withFile, type Files } from "./files.ts";
import { settle, type Positions } from "./graph.ts";

interface Moment {
  readonly text: string;
  readonly files: Files;
  readonly positions: Positions;
  readonly selection: ReadonlySet<string>;
}

export interface Board extends Moment {
  /** Of the text, or of the last text that could be read. */
  readonly document: Document;
  /** Why the text cannot be read now: the canvas cannot be used. */
  readonly refusal: Refusal | undefined;
  readonly edge: { readonly from: string; readonly to: string } | undefined;
  readonly past: readonly Moment[];
  readonly future: readonly Moment[];
  /** The kind of the last change: of one kind in a row, typing say, undo takes back all. */
  readonly group: string;
}

/** A long afternoon. */
const MAX_STEPS = 1_000;
/** Of all texts that undo could bring back, if each were a whole one. */
const MAX_PAST_CHARS = 64 * 1024 * 1024;

const EMPTY = readDocument("") as Document;

export function openBoard(
  text: string,
  { positions = new Map(), files = NO_FILES }: { positions?: Positions; files?: Files } = {},
): Board {
  const blank: Board = {
    text: "", files, document: EMPTY, refusal: undefined, positions: new Map(),
    selection: new Set(), edge: undefined, past: [], future: [], group: "",
  };
  return shown(blank, text, { positions });
}

/** The board with another text, read. */
function shown(
  board: Board, text: string,
  { positions = board.positions, read = readDocument(text) }: {
    positions?: Positions; read?: Document | Refusal;
  } = {},
): Board {
  if (!isDocument(read)) return { ...board, text, refusal: read, edge: undefined };
  const places = settle(read, positions, board.document);
  const selection = new Set([...board.selection].filter((key) => read.byKey.has(key)));
  return {
    ...board, text, document: read, refusal: undefined, positions: places, selection,
    edge: undefined,
  };
}

/** Changes in a row with the same `group` are one step for undo. "" is never the same. */
function step(board: Board, next: Board, group: string): Board {
  const isKept = next.text === board.text && next.positions === board.positions &&
    next.files === board.files;
  if (isKept) return { ...next, group };
  const isSame = group !== "" && group === board.group && board.past.length > 0;
  const past = isSame ? board.past : [...board.past, momentOf(board)];
  // Files that a step leaves alone are the same texts before and after it.
  const changed = next.files === board.files ? [] : [...board.files.values()];
  const chars = changed.reduce((sum, each) => sum + each.length, board.text.length + 1);
  const most = Math.max(1, Math.min(MAX_STEPS, Math.floor(MAX_PAST_CHARS / chars)));
  return { ...next, past: past.slice(-most), future: [], group };
}

function momentOf({ text, files, positions, selection }: Board): Moment {
  return { text, files, positions, selection };
}

/** A person typed: this is the text now. */
export function typed(board: Board, text: string): Board {
  return step(board, shown(board, text), "typing");
}

/** The canvas or the panel changed the document. */
export function changed(
  board: Board, document: Document,
  { group = "", positions = board.positions, select }: {
    group?: string; positions?: Positions; select?: readonly string[];
  } = {},
): Board {
  const next = shown(board, document.text, { positions, read: document });
  const selection = select === undefined ? next.selection : new Set(select);
  return step(board, { ...next, selection }, group);
}

export function moved(board: Board, positions: Positions, group = ""): Board {
  return step(board, { ...board, positions }, group);
}

/** A file is written, or (undefined) removed. @throws {EditError} */
export function filed(board: Board, path: string, text: string | undefined): Board {
  const group = text === undefined ? "" : `file ${path}`;
  return step(board, { ...board, files: withFile(board.files, path, text) }, group);
}

/** The next change is a step of its own, whatever it is. */
export function ended(board: Board): Board {
  return board.group === "" ? board : { ...board, group: "" };
}

export function selected(board: Board, keys: Iterable<string>): Board {
  return { ...board, selection: new Set(keys), edge: undefined, group: "" };
}

export function selectedEdge(board: Board, from: string, to: string): Board {
  return { ...board, selection: new Set(), edge: { from, to }, group: "" };
}

export function undo(board: Board): Board {
  const back = board.past.at(-1);
  if (back === undefined) return board;
  const { past, future } = board;
  return { ...restored(board, back), past: past.slice(0, -1),
    future: [...future, momentOf(board)] };
}

export function redo(board: Board): Board {
  const next = board.future.at(-1);
  if (next === undefined) return board;
  const { past, future } = board;
  return { ...restored(board, next), past: [...past, momentOf(board)],
    future: future.slice(0, -1) };
}

function restored(board: Board, moment: Moment): Board {
  const { files, selection } = moment;
  const next = shown({ ...board, files, selection }, moment.text, { positions: moment.positions });
  // Exactly the places of that moment, also those that nobody had looked at yet.
  return { ...next, positions: next.refusal ? moment.positions : next.positions, group: "" };
}
