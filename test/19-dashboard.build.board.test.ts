/** Chapter 19: the constructor's state: undo and redo, places, problems at nodes, drafts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePipeline, PipelineError } from "#pipeline";
import { Prng } from "#simulation";
import {
  changed, ended, filed, moved, openBoard, redo, selected, typed, undo, type Board,
} from "../src/dashboard/page/build/board.ts";
import {
  envOf, listText, NOT_YET, typedList, typedValue,
} from "../src/dashboard/page/build/controls.ts";
import {
  DraftConflict, Drafts, type Box, type DraftContent,
} from "../src/dashboard/page/build/drafts.ts";
import { edit } from "../src/dashboard/page/build/document.ts";
import { connect, edgeProblem, reached } from "../src/dashboard/page/build/edges.ts";
import { setAt } from "../src/dashboard/page/build/edit.ts";
import { fieldOf } from "../src/dashboard/page/build/fields.ts";
import { NO_FILES } from "../src/dashboard/page/build/files.ts";
import {
  aligned, edgesOf, GRID, inside, layoutAll, neighbour, NODE, settle,
} from "../src/dashboard/page/build/graph.ts";
import { addJob, removeJobs, renameJob } from "../src/dashboard/page/build/jobs.ts";
import { copyJobs, pasteJobs } from "../src/dashboard/page/build/paste.ts";
import {
  findingsOf, hiddenValues, unschedulable, type Verdict,
} from "../src/dashboard/page/build/problems.ts";
import { upTo } from "../src/dashboard/page/build/tend.ts";

const TEXT = "name: n\njobs:\n- {id: a, run: x}\n- {id: b, run: y, needs: a}\n- {id: c, run: z, " +
  "needs: [a, b]}\n";

const state = ({ text, positions, refusal }: Board): unknown =>
  ({ text, positions: [...positions].sort(), refused: refusal?.line });

test("undo takes back every step and redo brings it back, exactly", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const d = new Prng(seed);
    let board = openBoard(TEXT);
    const states = [state(board)];
    for (let step = 0; step < 12; step++) {
      const before = board;
      board = ended(step1(d, board));
      if (board.past.length > before.past.length) states.push(state(board));
    }
    const all = [...states];
    for (let at = states.length - 1; at > 0; at--) {
      assert.deepEqual(state(board), all[at], `seed ${seed}, state ${at}`);
      board = undo(board);
    }
    assert.deepEqual(state(board), all[0]);
    for (let at = 1; at < all.length; at++) {
      board = redo(board);
      assert.deepEqual(state(board), all[at], `seed ${seed}, again ${at}`);
    }
    assert.equal(redo(board), board);
  }
});

function step1(d: Prng, board: Board): Board {
  const { document, positions, refusal } = board;
  if (refusal !== undefined) return typed(board, TEXT);
  const keys = [...document.byKey.keys()];
  switch (d.int(0, 7)) {
    case 0: return changed(board, addJob(document, d.pick(["task", "gate", "agent"])).document);
    case 1: return keys.length < 2 ? board : changed(board, removeJobs(document, [d.pick(keys)]));
    case 2: return moved(board, new Map(positions).set(d.pick(keys), { x: d.int(0, 99), y: 20 }));
    case 3: return typed(board, d.chance(0.5) ? `${board.text}# more\n` : `${board.text}\n\tbad`);
    case 4: return selected(board, [d.pick(keys)]);
    case 5: return changed(board, renameJob(document, d.pick(keys), `r${d.int(0, 1e6)}`));
    case 6: return moved(board, layoutAll(document));
    default: return changed(board, edit(document, setAt(document, ["jobs", 0, "priority"],
      d.int(2, 90))));
  }
}

test("typing in a row is one step, and selecting is none", () => {
  let board = typed(typed(typed(openBoard(TEXT), `${TEXT}#`), `${TEXT}# `), `${TEXT}# a`);
  assert.equal(board.past.length, 1);
  board = selected(board, ["a"]);
  assert.equal(board.past.length, 1);
  board = typed(board, `${TEXT}# b`);
  assert.equal(board.past.length, 2);
  assert.equal(undo(undo(board)).text, TEXT);
});

test("a text that cannot be read is kept, and the canvas stays as it was", () => {
  const board = typed(openBoard(TEXT), "name: n\njobs:\n\t- bad");
  assert.equal(board.refusal?.line, 3);
  assert.equal(board.document.jobs.length, 3);
  assert.equal(board.text, "name: n\njobs:\n\t- bad");
  const back = typed(board, TEXT);
  assert.equal(back.refusal, undefined);
  assert.deepEqual([...back.positions], [...openBoard(TEXT).positions]);
});

test("a renamed job keeps its place, a new one stands behind its parents and on nobody", () => {
  const board = openBoard(TEXT);
  const renamed = typed(board, TEXT.replace(/\bb\b/g, "bb"));
  assert.deepEqual(renamed.positions.get("bb"), board.positions.get("b"));
  const grown = typed(board, `${TEXT}- {id: d, run: x, needs: c}\n- {id: e, run: x, needs: c}\n`);
  const [c, d, e] = ["c", "d", "e"].map((key) => grown.positions.get(key)!);
  assert.ok(d!.x >= c!.x + NODE.width && e!.x === d!.x && Math.abs(e!.y - d!.y) >= NODE.height);
  for (const at of grown.positions.values()) assert.equal(at.x % GRID + at.y % GRID, 0);
  const other = typed(board, "jobs: [{id: z}]");
  assert.deepEqual(other.positions.get("z"), { x: 0, y: 0 });
  assert.deepEqual(settle(grown.document, grown.positions), grown.positions);
});

test("a circle is refused with its way, and one that was typed is still drawn", () => {
  const { document } = openBoard(TEXT);
  const job = (key: string) => document.byKey.get(key)!;
  assert.equal(edgeProblem(document, job("c"), job("a")), "This would be a circle: a → c → a.");
  assert.equal(edgeProblem(document, job("b"), job("b")), "b cannot wait for itself.");
  assert.equal(edgeProblem(document, job("a"), job("b")), "b waits for a already.");
  assert.throws(() => connect(document, "c", "a"), /circle/);
  assert.deepEqual([...reached(document, "a")], ["b", "c"]);
  assert.deepEqual([...reached(document, "b", { up: true })], ["a"]);
  const round = openBoard(TEXT.replace("{id: a,", "{id: a, needs: c,"));
  assert.equal(edgesOf(round.document).length, 4);
  assert.equal(layoutAll(round.document).size, 3);
});

test("arrows lead along edges; nodes are aligned, and found in a box", () => {
  const { document, positions } = openBoard(TEXT);
  assert.equal(neighbour(document, positions, "a", "right"), "b");
  assert.equal(neighbour(document, positions, "c", "left"), "b");
  assert.equal(neighbour(document, positions, "c", "right"), undefined);
  const row = aligned(positions, ["a", "b", "c"], "left");
  assert.equal(new Set([...row.values()].map(({ x }) => x)).size, 1);
  const { x, y } = positions.get("b")!;
  assert.deepEqual(inside(positions, { x: x + 5, y: y + 5, width: 1, height: 1 }), ["b"]);
});

function verdictOf(text: string): Verdict {
  try {
    return { valid: true, warnings: parsePipeline(text, { file: "body" }).warnings };
  } catch (error) {
    return { valid: false, problems: (error as PipelineError).problems };
  }
}

test("problems stand at the job and the field, and a tag that no worker has is one", () => {
  const text = "name: n\nshell: fish\njobs:\n- id: a\n  run: x\n  priority: high\n" +
    "- id: b\n  run: x\n  requirement: [GPU, BIG]\n  depends_on: [zz]\n";
  const { document } = openBoard(text);
  const found = findingsOf(document, verdictOf(text)).map(({ kind, job, field, line }) =>
    [kind, job, field, line]);
  assert.deepEqual(found, [
    ["error", undefined, "shell", 2],
    ["error", "a", "priority", 6],
    ["error", "b", "depends_on", 10],
  ]);
  const warned = TEXT.replace("run: x", "run: 'echo ${{ a }}'");
  assert.deepEqual(findingsOf(openBoard(warned).document, verdictOf(warned)).map(
    ({ kind, job, field }) => [kind, job, field]), [["warning", "a", "run"]]);
  const empty = "name: n\nshell: x\njobs: []\n";
  assert.deepEqual(findingsOf(openBoard(empty).document, verdictOf(empty)).map(
    ({ field }) => field), ["shell"], "no job yet is no mistake yet");
  const crew = { workers: [{ name: "w", tags: ["GPU"] }], pools: [] };
  const [never, ...more] = unschedulable(document, crew);
  assert.equal(never!.message, "b can never be scheduled: no worker has BIG");
  assert.deepEqual([never!.job, never!.field, more.length], ["b", "requirement", 0]);
  const apart = { workers: crew.workers, pools: [{ name: "p", tags: ["BIG"] }] };
  assert.match(unschedulable(document, apart)[0]!.message, /no worker has all of GPU, BIG/);
  const nobody = unschedulable(document, { workers: [], pools: [] });
  assert.deepEqual(nobody.map(({ job }) => job), ["b"], "a job without tags waits for any worker");
  const both = { workers: [], pools: [{ name: "p", tags: ["BIG", "GPU"] }] };
  assert.deepEqual(unschedulable(document, both), []);
});

test("a letter in a job moves nothing: the places are the same object as before", () => {
  const board = openBoard(TEXT);
  const after = typed(board, TEXT.replace("run: x", "run: xy"));
  assert.equal(after.positions, board.positions);
  const renamed = typed(board, TEXT.replaceAll("a,", "first,").replace("needs: a", "needs: first"));
  assert.deepEqual(renamed.positions.get("first"), board.positions.get("a"));
  assert.equal(renamed.positions.has("a"), false);
});

/** As YAML: what each job waits for, by its number. */
const pipelineOf = (count: number, needs: (at: number) => string): string =>
  `name: many\njobs:\n${Array.from({ length: count }, (_, at) =>
    `  - {id: j${at}, run: x${needs(at) && `, needs: ${needs(at)}`}}\n`).join("")}`;

/** What a person may bear: of processor time, since a test shares its machine with others. */
const MOST_CPU_MS = 8_000;

test("5,000 jobs of any shape are drawn, edited, pasted and taken back in bounded time", () => {
  const shapes = {
    chain: (at: number) => at === 0 ? "" : `j${at - 1}`,
    star: (at: number) => at === 0 ? "" : "j0",
    layers: (at: number) => at < 25 ? "" : `j${at - 25}`,
    funnel: (at: number) => at < 4_999 ? ""
      : `[${Array.from({ length: 4_999 }, (_, parent) => `j${parent}`).join(", ")}]`,
  };
  for (const [name, needs] of Object.entries(shapes)) {
    const took = <T>(what: string, how: () => T): T => {
      const begin = process.cpuUsage();
      const made = how();
      const { user, system } = process.cpuUsage(begin);
      const ms = (user + system) / 1000;
      assert.ok(ms < MOST_CPU_MS, `${name}, ${what}: ${Math.round(ms)} ms of processor time`);
      return made;
    };
    const board = took("opened", () => openBoard(pipelineOf(5_000, needs)));
    assert.equal(board.positions.size, 5_000);
    const ends = [board.document.jobs[0]!, board.document.jobs.at(-1)!] as const;
    const problem = took("an edge back", () => edgeProblem(board.document, ends[1], ends[0]));
    assert.equal(problem !== undefined, name !== "layers", name);
    if (name !== "star" && name !== "layers") continue; // of the rest these are the worst
    const letter = took("a letter", () =>
      typed(board, board.text.replace("id: j300, run: x", "id: j300, run: xy")));
    assert.equal(letter.positions, board.positions);
    const half = openBoard(pipelineOf(2_500, needs));
    const grown = took("2,500 typed below 2,500", () => typed(half, board.text));
    assertApart(grown.positions, name);
    const copies = copyJobs(half.document, half.document.jobs.map(({ key }) => key));
    const pasted = took("2,500 pasted", () =>
      changed(half, pasteJobs(half.document, copies).document));
    assertApart(pasted.positions, name);
    const fewer = took("2,500 removed", () => changed(board, removeJobs(board.document,
      board.document.jobs.slice(2_500).map(({ key }) => key))));
    assert.equal(took("undone", () => undo(fewer)).text, board.text);
  }
});

test("copies of jobs whose ids are as long as may be have ids of their own", () => {
  const ids = ["1", "2"].map((end) => "j".repeat(127) + end);
  const { document } = openBoard(
    `name: n\njobs:\n${ids.map((id) => `  - {id: ${id}, run: x}\n`).join("")}`);
  const { keys } = pasteJobs(document, copyJobs(document, ids));
  assert.equal(new Set([...ids, ...keys]).size, 4, keys.join());
});

function assertApart(positions: Board["positions"], name: string): void {
  assert.equal(positions.size, 5_000, name);
  const seen = new Set<string>();
  for (const { x, y } of positions.values()) seen.add(`${x} ${y}`);
  assert.equal(seen.size, 5_000, `${name}: each has its own place`);
}

test("values of variables that a past run does not show are named", () => {
  const { document } = openBoard(TEXT.replace("run: x", "run: x, env: {A: …, B: b, C: …}"));
  assert.deepEqual(hiddenValues(document).map(({ job, field, line, message }) =>
    [job, field, line, message]),
  [["a", "env", 3, "the value of A, C is hidden: write it again before it runs"]]);
});

test("upTo() leaves a job and all that it waits for", () => {
  const { document } = openBoard(TEXT);
  assert.deepEqual(upTo(document, "b").jobs.map(({ id }) => id), ["a", "b"]);
  assert.equal(upTo(document, "c"), document);
});

test("a control's text becomes the value of its field, when it is finished", () => {
  const field = (key: string) => fieldOf("job", key)!;
  assert.deepEqual([typedValue(field("priority"), "7"), typedValue(field("timeout"), "1.5"),
    typedValue(field("timeout"), "10m"), typedValue(field("run"), "7"),
    typedValue(field("priority"), "07"), typedValue(field("affinity"), "true")],
  [7, 1.5, "10m", "7", "07", true]);
  assert.deepEqual(typedList(field("requirement"), "GPU, BIG, "), ["GPU", "BIG"]);
  assert.deepEqual(typedList(field("command"), '["a b", ""]'), ["a b", ""]);
  assert.equal(typedList(field("command"), '["a b'), NOT_YET);
  assert.equal(typedList(field("args"), "--x 'a, b'"), "--x 'a, b'");
  assert.deepEqual(envOf("A=1\nB = x=y \nhalf"), { A: "1", B: " x=y " });
  assert.equal(envOf("half"), NOT_YET);
  const { document } = openBoard("jobs: [{id: a, command: [sh, -c, 'x y']}]");
  const [job] = document.jobs;
  assert.ok(job!.node.kind === "mapping");
  assert.equal(listText(job!.node.entries[1]!.value), '["sh","-c","x y"]');
});

/** A store in memory. */
function box(): Box & { readonly all: Map<string, string> } {
  const all = new Map<string, string>();
  return {
    all,
    get: async (key) => all.get(key),
    set: async (key, value) => void all.set(key, value),
    swap: async (key, was, value) => all.get(key) === was && all.set(key, value) === all,
    remove: async (key) => void all.delete(key),
    keys: async (prefix) => [...all.keys()].filter((key) => key.startsWith(prefix)),
  };
}

const draft = (text: string, files: Board["files"] = NO_FILES): DraftContent =>
  ({ text, positions: new Map([["a", { x: 1, y: 2 }]]), files });

test("two people who save one draft both keep their work", async () => {
  const own = box();
  let count = 0;
  const [ann, bob] = [new Drafts(own, () => `a${count++}`), new Drafts(own, () => `b${count++}`)];
  assert.equal(await ann.save("n", draft("1"), { version: 0, now: 5 }), 1);
  const seen = (await bob.load("n"))!;
  assert.deepEqual([seen.version, seen.text, seen.positions.get("a")], [1, "1", { x: 1, y: 2 }]);
  assert.equal(await ann.save("n", draft("2"), { version: 1, now: 6 }), 2);
  await assert.rejects(bob.save("n", draft("3"), { version: 1, now: 7 }), DraftConflict);
  assert.equal(await bob.save("n", draft("2"), { version: 1, now: 7 }), 2);
  assert.equal((await ann.load("n", 1))!.text, "1");
  assert.deepEqual((await ann.list()).map(({ name, versions }) => [name, versions.length]),
    [["n", 2]]);
  own.all.set("titan:drafts:broken", "{");
  assert.deepEqual(await ann.versions("broken"), []);
  // Both have looked before either has written: one of them is told, and leaves nothing behind.
  const before = own.all.size;
  const both = await Promise.allSettled([
    ann.save("n", draft("x"), { version: 2, now: 8 }),
    bob.save("n", draft("y"), { version: 2, now: 8 }),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.deepEqual([own.all.size, (await ann.versions("n")).length], [before + 1, 3]);
});

test("a long draft comes back whole, and old versions leave nothing behind", async () => {
  const own = box();
  const drafts = new Drafts(own, () => String(own.all.size + Math.random()));
  const long = "# \ud83d\ude00 \n".repeat(20_000);
  for (let version = 0; version < 25; version++) {
    await drafts.save("n", draft(version === 24 ? long : "x"), { version, now: version });
  }
  assert.equal((await drafts.load("n"))!.text, long);
  assert.equal((await drafts.versions("n")).length, 20);
  for (const value of own.all.values()) assert.ok(Buffer.byteLength(value) <= 64 * 1024);
  await drafts.remove("n");
  assert.equal(own.all.size, 0);
});

test("files are kept with a draft, once for all versions that have them", async () => {
  const own = box();
  let count = 0;
  const drafts = new Drafts(own, () => `t${count++}`);
  const files = new Map([["a.py", "print(1)\n"], ["b/c.sh", ""]]);
  await drafts.save("n", { ...draft("1", files), from: "run-1" }, { version: 0, now: 1 });
  const size = own.all.size;
  await drafts.save("n", draft("2", files), { version: 1, now: 2 });
  assert.equal(own.all.size, size + 1, "only the text is new");
  const other = new Drafts(own, () => `o${count++}`);
  const seen = (await other.load("n", 1))!;
  assert.deepEqual([[...seen.files], seen.from], [[...files], "run-1"]);
  await other.save("n", draft("3", seen.files), { version: 2, now: 3 });
  assert.equal(own.all.size, size + 2);
  for (let version = 3; version < 25; version++) {
    await other.save("n", draft("x", new Map(files).set("a.py", String(version))),
      { version, now: version });
  }
  assert.equal(own.all.size, 1 + 2 * 20, "what no version has any more is gone");
  for (let version = 25; version < 50; version++) {
    await other.save("n", draft(String(version), seen.files), { version, now: version });
  }
  assert.deepEqual([...(await other.load("n"))!.files], [...files], "old versions shared them");
  const same = { ...draft("49", seen.files), from: "run-2" };
  await assert.rejects(other.save("n", same, { version: 3, now: 9 }), DraftConflict);
  const theirs = draft("y", new Map([["a.py", "other"]]));
  await assert.rejects(drafts.save("n", theirs, { version: 3, now: 9 }), DraftConflict);
});

test("a file is written, removed, and comes back; typing in one is one step", () => {
  let board = filed(filed(openBoard(TEXT), "a.py", "p"), "a.py", "pr");
  assert.equal(board.past.length, 1);
  board = filed(board, "a.py", undefined);
  assert.deepEqual([board.files.size, undo(board).files.get("a.py")], [0, "pr"]);
  board = undo(undo(board));
  assert.equal(board.files.size, 0);
  assert.equal(redo(board).files.get("a.py"), "pr");
});
