/**
 * Contract of lesson 06. Every random test prints its seed when it fails: the graph can be built
 * again from it.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { Dag, DagError, type DagErrorCode } from "#dag";
import { withSeeds } from "./seeds.support.ts";

type Declared = { id: string; parents: string[] };

const node = (id: string, ...parents: string[]): Declared => ({ id, parents });

function refusal(code: DagErrorCode, act: () => unknown): DagError {
  try {
    act();
  } catch (error) {
    if (!(error instanceof DagError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`expected a DagError ${code}, nothing was thrown`);
}

/** What a graph should say, computed the slow way from plain sets. */
class Model {
  readonly children: Set<number>[] = [];
  readonly parents: Set<number>[] = [];
  readonly settled: boolean[] = [];

  addJob(parents: Iterable<number>): number {
    const index = this.settled.push(false) - 1;
    this.children.push(new Set());
    this.parents.push(new Set());
    for (const parent of parents) this.addEdge(parent, index);
    return index;
  }

  addEdge(parent: number, child: number): void {
    this.children[parent]!.add(child);
    this.parents[child]!.add(parent);
  }

  reaches(from: number, to: number): boolean {
    const seen = new Set([from]);
    for (const at of seen) for (const next of this.children[at]!) seen.add(next);
    return seen.has(to);
  }

  ready(): number[] {
    const all = this.settled.map((_, index) => index);
    return all.filter(
      (i) => !this.settled[i] && [...this.parents[i]!].every((p) => this.settled[p]),
    );
  }

  /** "3 jobs, 0→1 0→2", for a reader who has a pencil. */
  text(): string {
    const edges = this.children.flatMap((all, job) => [...all].map((child) => `${job}→${child}`));
    return `${this.settled.length} jobs, ${edges.join(" ") || "no edges"}`;
  }
}

function assertSame(dag: Dag, model: Model): void {
  assert.equal(dag.size, model.settled.length);
  for (let i = 0; i < dag.size; i++) {
    assert.deepEqual(dag.parents(i), [...model.parents[i]!], `parents of ${i}`);
    assert.deepEqual(new Set(dag.children(i)), model.children[i]!, `children of ${i}`);
    assert.equal(dag.isSettled(i), model.settled[i], `settled ${i}`);
  }
  assert.deepEqual(dag.ready(), model.ready(), "the jobs that are ready");
  assertTopological(dag);
}

function assertTopological(dag: Dag): void {
  const order = dag.topologicalOrder();
  const place = new Map(order.map((job, i) => [job, i]));
  assert.equal(place.size, dag.size, "every job once");
  for (const job of order) {
    dag.forEachChild(job, (child) => {
      if (place.get(job)! < place.get(child)!) return;
      assert.fail(`edge ${job}→${child} points to the left in the order ${order.slice(0, 40)}`);
    });
  }
}

/**
 * That the ids really are a way round in this graph, closed by the edge `extra` if that is given.
 */
function assertCycle(
  path: string[] | undefined,
  hasEdge: (from: string, to: string) => boolean,
): void {
  assert.ok(path !== undefined && path.length >= 3, `a path was given: ${path}`);
  assert.equal(path[0], path.at(-1));
  assert.equal(new Set(path).size, path.length - 1, "no job twice");
  for (let i = 1; i < path.length; i++) {
    assert.ok(hasEdge(path[i - 1]!, path[i]!), `${path[i - 1]} → ${path[i]}`);
  }
}

// --- What must be refused ---------------------------------------------------------------------

test("Dag.build() refuses a cycle and names every job on the way round", () => {
  const error = refusal("CYCLE", () =>
    Dag.build([node("extract", "train"), node("train", "extract")]),
  );
  assert.equal(error.message, "Cannot build graph: cycle extract → train → extract");
  assert.deepEqual(error.path, ["extract", "train", "extract"]);
});

test("Dag.build() reports only the cycle, not what stands before or behind it", () => {
  const jobs = [
    node("before"),
    node("a", "before", "c"),
    node("b", "a"),
    node("c", "b"),
    node("behind", "c"),
  ];
  const { path } = refusal("CYCLE", () => Dag.build(jobs));
  assert.deepEqual([...new Set(path)].sort(), ["a", "b", "c"]);
});

test("Dag.build() reports a short way round when there is also a long one", () => {
  const ring = Array.from({ length: 50 }, (_, i) => node(`r${i}`, `r${(i + 49) % 50}`));
  ring[7]!.parents.push("r8");
  const { path } = refusal("CYCLE", () => Dag.build(ring));
  assertCycle(path, (from, to) => ring.find((job) => job.id === to)!.parents.includes(from));
  // Through any job of the ring the shortest way round is the ring, except through 7 and 8.
  assert.ok(path!.length === 51 || path!.length === 3);
});

test("Dag.build() refuses a job that depends on itself", () => {
  const error = refusal("SELF_EDGE", () => Dag.build([node("a", "a")]));
  assert.equal(error.message, 'Cannot build graph: job "a" depends on itself');
});

test("Dag.build() refuses an id that is used twice", () => {
  const error = refusal("DUPLICATE_ID", () => Dag.build([node("a"), node("b"), node("a")]));
  assert.equal(error.message, 'Cannot build graph: two jobs are called "a"');
});

test("Dag.build() refuses an empty id", () => {
  refusal("EMPTY_ID", () => Dag.build([node("a"), node("")]));
});

test("Dag.build() refuses a missing parent and suggests the nearest id", () => {
  const error = refusal("MISSING_PARENT", () => Dag.build([node("a"), node("b", "c")]));
  assert.equal(
    error.message,
    'Cannot build graph: job "b" depends on "c", which does not exist (did you mean "a"?)',
  );
  const swapped = refusal("MISSING_PARENT", () =>
    Dag.build([node("extract"), node("train"), node("x", "trian")]),
  );
  assert.match(swapped.message, /did you mean "train"\?/);
  const far = refusal("MISSING_PARENT", () => Dag.build([node("extract"), node("x", "deploy")]));
  assert.equal(
    far.message,
    'Cannot build graph: job "x" depends on "deploy", which does not exist',
  );
  const alone = refusal("MISSING_PARENT", () => Dag.build([node("b", "c")]));
  assert.equal(alone.message, 'Cannot build graph: job "b" depends on "c", which does not exist');
});

test("DagError messages stay short and show no control characters, whatever the ids hold", () => {
  const long = "x".repeat(1_000_000);
  const ids = [long, "\u001b[31mred\u0007", "line\nbreak", "\ud800"];
  for (const id of ids) {
    const messages = [
      refusal("SELF_EDGE", () => Dag.build([node(id, id)])).message,
      refusal("MISSING_PARENT", () => Dag.build([node("a", id)])).message,
      refusal("CYCLE", () => Dag.build([node(id, "b"), node("b", id)])).message,
    ];
    for (const message of messages) {
      assert.ok(message.length < 500, `${message.length} characters`);
      assert.doesNotMatch(message, /[\u0000-\u001f\u007f]/);
    }
  }
});

test("addEdge() refuses a cycle with its path, and leaves the graph as it was", () => {
  const dag = Dag.build([node("extract"), node("train", "extract"), node("report", "train")]);
  const error = refusal("CYCLE", () => dag.addEdge(2, 0));
  assert.equal(error.message, "Cannot add edge: cycle report → extract → train → report");
  assert.deepEqual(error.path, ["report", "extract", "train", "report"]);
  assert.deepEqual(dag.parents(0), []);
  assert.deepEqual(dag.topologicalOrder(), [0, 1, 2]);
  assert.deepEqual(dag.ready(), [0]);
});

test("addEdge() refuses a self edge", () => {
  const dag = Dag.build([node("a")]);
  refusal("SELF_EDGE", () => dag.addEdge(0, 0));
});

test("addEdge() refuses a settled child, whatever the parent", () => {
  const dag = Dag.build([node("a"), node("b", "a"), node("c"), node("d")]);
  dag.settle(0);
  dag.settle(1);
  dag.settle(2);
  const open = refusal("SETTLED_CHILD", () => dag.addEdge(3, 1));
  assert.equal(open.message, 'Cannot add edge: job "b" is already over, it cannot wait for "d"');
  refusal("SETTLED_CHILD", () => dag.addEdge(2, 1));
  assert.deepEqual(dag.parents(1), [0]);
});

test("addJob() refuses what build() refuses, and a refusal leaves nothing behind", () => {
  const dag = Dag.build([node("a")]);
  refusal("DUPLICATE_ID", () => dag.addJob("a", []));
  refusal("EMPTY_ID", () => dag.addJob("", []));
  refusal("SELF_EDGE", () => dag.addJob("b", ["a", "b"]));
  refusal("MISSING_PARENT", () => dag.addJob("b", ["a", "nowhere"]));
  assert.equal(dag.size, 1);
  assert.equal(dag.indexOf("b"), undefined);
  assert.deepEqual(dag.children(0), []);
  assert.equal(dag.addJob("b", ["a"]), 1);
});

test("settle() of a job twice, or before its parents, is an invariant failure and " +
  "not a DagError", () => {
  const dag = Dag.build([node("a"), node("b", "a")]);
  const bug = (error: unknown) => error instanceof Error && !(error instanceof DagError);
  assert.throws(() => dag.settle(1), bug);
  dag.settle(0);
  assert.throws(() => dag.settle(0), bug);
  assert.deepEqual(dag.ready(), [1]);
});

test("every method that takes an index refuses one that no job has", () => {
  const dag = Dag.build([node("a")]);
  for (const index of [-1, 1, 0.5, NaN]) {
    assert.throws(() => dag.idOf(index));
    assert.throws(() => dag.parents(index));
    assert.throws(() => dag.children(index));
    assert.throws(() => dag.addEdge(0, index));
    assert.throws(() => dag.addEdge(index, 0));
    assert.throws(() => dag.addJob("b", [index]));
    assert.throws(() => dag.isReady(index));
    assert.throws(() => dag.isSettled(index));
    assert.throws(() => dag.settle(index));
    assert.throws(() => dag.reopen([index]));
    assert.throws(() => dag.downstream([index]));
  }
  assert.equal(dag.size, 1);
});

// --- What must work ---------------------------------------------------------------------------

test("Dag.build() of nothing is a graph of nothing", () => {
  const dag = Dag.build([]);
  assert.equal(dag.size, 0);
  assert.deepEqual(dag.ready(), []);
  assert.deepEqual(dag.topologicalOrder(), []);
  assert.equal(dag.addJob("first", []), 0);
  assert.deepEqual(dag.ready(), [0]);
});

test("Dag.build() keeps indices in the order of the list, parents declared later included", () => {
  const dag = Dag.build([node("c", "b", "a"), node("b", "a"), node("a")]);
  assert.deepEqual(["c", "b", "a"].map((id) => dag.indexOf(id)), [0, 1, 2]);
  assert.deepEqual(dag.parents(0), [1, 2]);
  assert.deepEqual(dag.children(2), [0, 1]);
  assert.deepEqual(dag.topologicalOrder(), [2, 1, 0]);
});

test("Dag.build() reads an iterable that can be read only once", () => {
  function* jobs() {
    yield node("b", "a");
    yield node("a");
  }
  assert.deepEqual(Dag.build(jobs()).topologicalOrder(), [1, 0]);
});

test("Dag.build() takes indices for parents as well as ids", () => {
  const dag = Dag.build([{ id: "a", parents: [] }, { id: "b", parents: [0, "a"] }]);
  assert.deepEqual(dag.parents(1), [0]);
});

test("a parent that is named twice counts once", () => {
  const dag = Dag.build([node("a"), node("b", "a"), node("c", "a", "b", "a", "b")]);
  assert.deepEqual(dag.parents(2), [0, 1]);
  const index = dag.addJob("d", ["a", 0, "c", "a"]);
  assert.deepEqual(dag.parents(index), [0, 2]);
  assert.deepEqual(dag.settle(0), [1]);
  assert.deepEqual(dag.settle(1), [2]);
  assert.deepEqual(dag.settle(2), [3]);
});

test("ids are only names: __proto__, unicode, spaces and look-alikes are jobs " +
  "like any other", () => {
  const ids = [
    "__proto__",
    "constructor",
    "toString",
    "0",
    "-1",
    " ",
    "日本語",
    "👩‍🔬",
    "é",
    "e\u0301",
    "a\u0000b",
    "\ud800",
  ];
  const dag = Dag.build(ids.map((id, i) => ({ id, parents: i === 0 ? [] : [ids[i - 1]!] })));
  ids.forEach((id, i) => {
    assert.equal(dag.indexOf(id), i);
    assert.equal(dag.idOf(i), id);
  });
  assert.equal(dag.indexOf("hasOwnProperty"), undefined);
});

test("settleEarly() ends a job before its parents, frees its children, and is not freed by its " +
  "parents later", () => {
  const dag = Dag.build([
    { id: "a", parents: [] },
    { id: "b", parents: ["a"] },
    { id: "c", parents: ["b"] },
    { id: "d", parents: ["a"] },
  ]);
  assert.deepEqual(dag.settleEarly(1), [2]);
  assert.deepEqual([dag.isSettled(1), dag.isReady(1), dag.isReady(2)], [true, false, true]);
  assert.throws(() => dag.settleEarly(1), /settled twice/);
  assert.deepEqual(dag.settle(0), [3], "b is over, and is nobody who became ready");
  dag.reopen([1, 2]);
  assert.deepEqual(
    [dag.isReady(1), dag.isReady(2)], [true, false], "its parent has been counted meanwhile",
  );
  dag.reopen([0, 1, 3]);
  dag.settleEarly(1);
  dag.reopen([1]);
  assert.equal(dag.isReady(1), false, "its parent still counts");
});

test("settle() returns the children that became ready by it, in the order of their edges", () => {
  const dag = Dag.build([
    node("a"),
    node("b"),
    node("z", "a"),
    node("y", "a", "b"),
    node("x", "a"),
  ]);
  assert.deepEqual(dag.ready(), [0, 1]);
  assert.deepEqual(dag.settle(0), [2, 4]);
  assert.equal(dag.isReady(3), false);
  assert.deepEqual(dag.settle(1), [3]);
});

test("addEdge() of an edge that exists changes nothing, even when the child is settled", () => {
  const dag = Dag.build([node("a"), node("b", "a")]);
  dag.addEdge(0, 1);
  assert.deepEqual(dag.children(0), [1]);
  dag.settle(0);
  assert.equal(dag.isReady(1), true);
  dag.settle(1);
  dag.addEdge(0, 1);
  assert.deepEqual(dag.parents(1), [0]);
});

test("addEdge() takes a ready child back, and only from a parent that is still open", () => {
  const dag = Dag.build([node("a"), node("b"), node("c")]);
  dag.settle(0);
  dag.addEdge(0, 2);
  assert.deepEqual(dag.ready(), [1, 2], "a settled parent holds nobody up");
  dag.addEdge(1, 2);
  assert.deepEqual(dag.ready(), [1]);
  assert.deepEqual(dag.settle(1), [2]);
});

test("addEdge() in mid-run: legal, then refused", () => {
  const dag = Dag.build([node("fetch"), node("train", "fetch"), node("audit", "fetch")]);
  dag.settle(0);
  dag.addEdge(2, 1);
  assert.deepEqual(dag.ready(), [2], "train now waits for audit");
  const { path } = refusal("CYCLE", () => dag.addEdge(1, 2));
  assert.deepEqual(path, ["train", "audit", "train"]);
  assert.deepEqual(dag.settle(2), [1]);
  dag.settle(1);
  dag.addJob("late", ["fetch"]);
  refusal("SETTLED_CHILD", () => dag.addEdge(3, 1));
});

test("addJob() during a run is ready at once when its parents are settled", () => {
  const dag = Dag.build([node("a"), node("b")]);
  dag.settle(0);
  const ready = dag.addJob("c", ["a"]);
  const waits = dag.addJob("d", ["a", "b", ready]);
  assert.deepEqual([dag.isReady(ready), dag.isReady(waits)], [true, false]);
  assert.deepEqual(dag.settle(1), []);
  assert.deepEqual(dag.settle(ready), [waits]);
});

test("downstream() is the jobs themselves and all that wait for them, once each", () => {
  const dag = Dag.build([
    node("a"),
    node("b", "a"),
    node("c", "a"),
    node("d", "b", "c"),
    node("other"),
  ]);
  assert.deepEqual(dag.downstream([0]), [0, 1, 2, 3]);
  assert.deepEqual(dag.downstream([2, 3]), [2, 3]);
  assert.deepEqual(dag.downstream([]), []);
});

test("reopen() makes the counters what a recount gives, and the rest can run again", () => {
  const dag = Dag.build([
    node("a"),
    node("b", "a"),
    node("c", "a"),
    node("d", "b", "c"),
    node("e", "d"),
  ]);
  for (const index of [0, 1, 2, 3]) dag.settle(index);
  dag.reopen(dag.downstream([1]));
  assert.deepEqual([0, 1, 2, 3, 4].filter((i) => dag.isSettled(i)), [0, 2]);
  assert.deepEqual(dag.ready(), [1]);
  assert.deepEqual(dag.settle(1), [3]);
  assert.deepEqual(dag.settle(3), [4]);
});

test("reopen() of a job under a child that stays settled is our bug, and changes nothing", () => {
  const dag = Dag.build([node("a"), node("b", "a")]);
  dag.settle(0);
  dag.settle(1);
  assert.throws(() => dag.reopen([0]));
  assert.deepEqual([dag.isSettled(0), dag.isSettled(1)], [true, true]);
  dag.reopen([1, 0, 1]);
  assert.deepEqual(dag.ready(), [0]);
});

// --- Against the slow way ---------------------------------------------------------------------

test("Dag.build() agrees with a depth-first search on every random graph: cycle " +
  "or valid order", () => {
  let cycles = 0;
  withSeeds(400, (random, tell) => {
    const size = 1 + random(12);
    const jobs = Array.from({ length: size }, (_, i) => node(`j${i}`));
    const model = new Model();
    tell(() => model.text());
    for (let i = 0; i < size; i++) model.addJob([]);
    for (let n = random(2 * size); n > 0; n--) {
      const [parent, child] = [random(size), random(size)];
      if (parent === child) continue;
      jobs[child]!.parents.push(`j${parent}`);
      model.addEdge(parent, child);
    }
    const cyclic = jobs.some((_, i) =>
      [...model.children[i]!].some((child) => model.reaches(child, i)),
    );
    if (!cyclic) return assertSame(Dag.build(jobs), model);
    cycles++;
    const { path } = refusal("CYCLE", () => Dag.build(jobs));
    assertCycle(path, (from, to) =>
      model.children[Number(from.slice(1))]!.has(Number(to.slice(1))),
    );
  });
  assert.ok(
    cycles > 50 && cycles < 350,
    `both outcomes are common enough: ${cycles} cycles of 400`,
  );
});

test("addEdge() refuses exactly what a depth-first search calls a cycle, and keeps " +
  "a valid order", () => {
  let refused = 0;
  withSeeds(150, (random, tell) => {
    const size = 2 + random(20);
    const dag = Dag.build(Array.from({ length: size }, (_, i) => node(`j${i}`)));
    const model = new Model();
    tell(() => model.text());
    for (let i = 0; i < size; i++) model.addJob([]);
    for (let n = 0; n < 3 * size; n++) {
      const [parent, child] = [random(size), random(size)];
      if (parent === child) continue;
      if (!model.children[parent]!.has(child) && model.reaches(child, parent)) {
        const { path } = refusal("CYCLE", () => dag.addEdge(parent, child));
        assert.deepEqual(
          path!.slice(0, 2),
          [`j${parent}`, `j${child}`],
          "the new edge comes first",
        );
        const all = (from: string, to: string) =>
          path!.indexOf(from) === 0 ||
          model.children[Number(from.slice(1))]!.has(Number(to.slice(1)));
        assertCycle(path, all);
        refused++;
      } else {
        dag.addEdge(parent, child);
        model.addEdge(parent, child);
      }
      assertTopological(dag);
    }
    assertSame(dag, model);
  });
  assert.ok(refused > 500, `${refused} refusals`);
});

test("any mix of addJob, addEdge, settle and reopen equals a recount from scratch", () => {
  withSeeds(150, (random, tell) => {
    const dag = Dag.build([node("j0")]);
    const model = new Model();
    const steps: string[] = [];
    tell(() => `${model.text()}; ${steps.join(", ")}`);
    model.addJob([]);
    for (let step = 0; step < 60; step++) {
      const pick = random(10);
      const [a, b] = [random(dag.size), random(dag.size)];
      if (pick < 2) {
        const parents = Array.from({ length: random(4) }, () => random(dag.size));
        steps.push(`addJob([${parents.join(", ")}])`);
        assert.equal(dag.addJob(`j${dag.size}`, parents), model.addJob(parents));
      } else if (pick < 5) {
        if (a === b || model.settled[b] || model.reaches(b, a)) continue;
        steps.push(`addEdge(${a}, ${b})`);
        dag.addEdge(a, b);
        model.addEdge(a, b);
      } else if (pick < 9) {
        const ready = model.ready();
        if (ready.length === 0) continue;
        const job = ready[random(ready.length)]!;
        steps.push(`settle(${job})`);
        const before = new Set(ready);
        model.settled[job] = true;
        const freed = model.ready().filter((i) => !before.has(i));
        assert.deepEqual(dag.settle(job), dag.children(job).filter((i) => freed.includes(i)));
      } else {
        const again = dag.downstream([a]);
        assert.deepEqual(
          new Set(again),
          new Set(model.settled.map((_, i) => i).filter((i) => model.reaches(a, i))),
        );
        steps.push(`reopen([${again.join(", ")}])`);
        dag.reopen(again);
        for (const i of again) model.settled[i] = false;
      }
      assertSame(dag, model);
    }
  });
});

// --- Size -------------------------------------------------------------------------------------

const HUGE = 100_000;

test("100,000 jobs in a row: built forwards and backwards, worked off, without recursion", () => {
  const chain = Array.from({ length: HUGE }, (_, i) => ({
    id: `j${i}`,
    parents: i === 0 ? [] : [`j${i - 1}`],
  }));
  for (const jobs of [chain, chain.toReversed()]) {
    const dag = Dag.build(jobs);
    let ready = dag.ready();
    let done = 0;
    for (; ready.length > 0; done++) ready = dag.settle(ready[0]!);
    assert.equal(done, HUGE);
    assert.equal(dag.downstream([dag.indexOf("j0")!]).length, HUGE);
  }
});

test("100,000 jobs added one by one are the graph that build() makes of them", () => {
  // Columns that grow by less than a factor would copy some 10^10 numbers here.
  const jobs = Array.from({ length: HUGE }, (_, i) =>
    node(`j${i}`, ...(i < 2 ? [] : [`j${i - 1}`, `j${i >> 1}`])),
  );
  const [built, grown] = [Dag.build(jobs), Dag.build([])];
  for (const { id, parents } of jobs) grown.addJob(id, parents);
  for (const i of [0, 2, 3, 777, HUGE - 1]) {
    assert.deepEqual(grown.parents(i), built.parents(i));
    assert.deepEqual(grown.children(i), built.children(i));
  }
  assert.deepEqual(grown.topologicalOrder(), built.topologicalOrder());
  assert.deepEqual(grown.ready(), built.ready());
});

test("a cycle through 100,000 jobs is found, whole in `path` and short in the message", () => {
  const ring = Array.from({ length: HUGE }, (_, i) => node(`j${i}`, `j${(i + HUGE - 1) % HUGE}`));
  const built = refusal("CYCLE", () => Dag.build(ring));
  assert.equal(built.path!.length, HUGE + 1);
  assert.ok(built.message.length < 300, built.message);
  ring[0]!.parents.length = 0;
  const added = refusal("CYCLE", () => Dag.build(ring).addEdge(HUGE - 1, 0));
  assert.equal(added.path!.length, HUGE + 1);
});

test("one job above and one below 100,000 others", () => {
  const middle = Array.from({ length: HUGE }, (_, i) => node(`m${i}`, "top"));
  const dag = Dag.build([node("top"), ...middle, node("bottom", ...middle.map((job) => job.id))]);
  const freed = dag.settle(0);
  assert.equal(freed.length, HUGE);
  // Edges out of the hub are checked against the shorter list of the two: this would be 10^10
  // steps.
  for (const job of freed) dag.addEdge(0, job);
  const last = freed.flatMap((job) => dag.settle(job));
  assert.deepEqual(last, [HUGE + 1]);
});

test("addEdge() searches only between the two ends", () => {
  // Two chains of 100,000; every edge below joins neighbours in the order, so each search is tiny.
  const dag = Dag.build(
    Array.from({ length: HUGE }, (_, i) => node(`j${i}`, ...(i < 2 ? [] : [`j${i - 2}`]))),
  );
  let [looks, edges] = [0, 10];
  for (const each of ["forEachParent", "forEachChild"] as const) {
    const original = dag[each].bind(dag);
    dag[each] = (job, body) => {
      looks += 1;
      // Backwards as well as forwards: without a bound there, every edge looks at all jobs above
      // it, and this test would take minutes to say so.
      assert.ok(looks <= 10 * edges, `${looks} jobs are looked at for ${edges} edges`);
      original(job, body);
    };
  }
  for (let i = 1; i + 2 < HUGE; i += 20, edges++) dag.addEdge(i, i - 1);
  edges = Infinity; // from here on the test itself looks
  assertTopological(dag);
});

test("copy() gives a graph that goes on by itself, as the first one does", () => {
  const first = Dag.build([{ id: "a", parents: [] }, { id: "b", parents: ["a"] }]);
  first.settle(0);
  const second = first.copy();
  assert.deepEqual([second.isSettled(0), second.isReady(1)], [true, true]);
  first.addJob("c", ["b"]);
  second.addJob("x", []);
  second.addEdge(2, 1);
  assert.deepEqual([first.idOf(2), second.idOf(2)], ["c", "x"]);
  assert.deepEqual([first.indexOf("x"), second.indexOf("c")], [undefined, undefined]);
  assert.deepEqual([first.parents(1), second.parents(1)], [[0], [0, 2]]);
  assert.deepEqual([first.isReady(1), second.isReady(1)], [true, false]);
  assert.deepEqual([first.children(1), second.children(1)], [[2], []]);
  const third = second.copy();
  second.settle(2);
  assert.deepEqual([second.isReady(1), third.isReady(1)], [true, false]);
  third.addEdge(0, 2);
  assert.deepEqual([second.parents(2), third.parents(2)], [[], [0]]);
});
