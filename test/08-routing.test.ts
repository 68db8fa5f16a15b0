import assert from "node:assert/strict";
import { test } from "node:test";
import { describe as sentence, MAX_CLASSES, requirementKey, Router } from "#routing";

const ANY = requirementKey([]);
const GPU = requirementKey(["GPU"]);

function routerOf(...workers: [id: number, slots: number, ...tags: string[]][]): Router {
  const router = new Router();
  for (const [id, slots, ...tags] of workers) router.addWorker({ id, slots, tags });
  return router;
}

/** Whom a sequence of jobs of one class goes to, each keeping its slot. */
function fill(router: Router, key: string): number[] {
  const picked: number[] = [];
  for (let id = router.pick(key); id !== undefined; id = router.pick(key)) {
    picked.push(id);
    router.take(id);
  }
  return picked;
}

test("pick() finds nobody among no workers", () => {
  assert.equal(new Router().pick(ANY), undefined);
  assert.equal(new Router().hasFree(ANY), false);
  assert.equal(new Router().canEver(ANY), false);
});

test("pick() never chooses a worker without every tag, however idle", () => {
  const router = routerOf([1, 8], [2, 8, "GPU"], [3, 8, "HIGH_MEM"], [4, 1, "GPU", "HIGH_MEM"]);
  const both = requirementKey(["GPU", "HIGH_MEM"]);
  assert.deepEqual(fill(router, both), [4]);
  assert.equal(router.pick(both), undefined);
  assert.equal(router.canEver(both), true);
  assert.equal(router.canEver(requirementKey(["TPU"])), false);
});

test("pick() never chooses a full worker", () => {
  const router = routerOf([1, 1], [2, 2], [3, 0]);
  assert.deepEqual(fill(router, ANY).sort(), [1, 2, 2]);
  assert.equal(router.hasFree(ANY), false);
  router.release(2);
  assert.equal(router.pick(ANY), 2);
});

test("pick() never chooses a draining worker, and does again when draining is over", () => {
  const router = routerOf([1, 4], [2, 4]);
  router.take(2);
  router.setDraining(1, true);
  assert.equal(router.pick(ANY), 2);
  router.setDraining(2, true);
  assert.equal(router.pick(ANY), undefined);
  assert.equal(router.canEver(ANY), false, "all are on their way out");
  router.setDraining(1, false);
  assert.equal(router.pick(ANY), 1);
  assert.equal(router.canEver(ANY), true);
});

test("pick() never chooses a worker that is away, and canEver() counts on its return", () => {
  const router = routerOf([1, 4], [2, 4]);
  router.take(2);
  router.setAway(1, true);
  assert.equal(router.pick(ANY), 2);
  router.setDraining(2, true);
  assert.deepEqual([router.pick(ANY), router.canEver(ANY)], [undefined, true]);
  router.setDraining(1, true);
  router.setAway(1, false);
  assert.deepEqual(
    [router.pick(ANY), router.canEver(ANY)],
    [undefined, false],
    "two reasons, and only one of them is gone",
  );
  router.setDraining(1, false);
  assert.equal(router.pick(ANY), 1);
});

test("pick() never chooses a removed worker", () => {
  const router = routerOf([1, 1], [2, 1], [3, 1]);
  router.register(ANY);
  router.removeWorker(1);
  router.removeWorker(3);
  router.removeWorker(99);
  assert.deepEqual(fill(router, ANY), [2]);
  assert.deepEqual(
    [router.has(1), router.running(1), router.free(1), router.size],
    [false, 0, 0, 1],
  );
});

test("pick() prefers the lowest share of slots in use, not the lowest count", () => {
  const router = routerOf([1, 2], [2, 8]);
  router.take(1); // 1 of 2
  router.take(2);
  router.take(2); // 2 of 8
  assert.equal(router.pick(ANY), 2);
});

test("pick() breaks ties by fewest running, then by lowest id", () => {
  const router = routerOf([9, 4], [3, 2], [5, 2]);
  for (const id of [9, 9, 3, 5]) router.take(id); // all half full
  assert.equal(router.pick(ANY), 3);
});

test("pick() spreads over equal workers in order of id", () => {
  assert.deepEqual(fill(routerOf([3, 2], [1, 2], [2, 2]), ANY), [1, 2, 3, 1, 2, 3]);
});

test("pick() with a pinned worker waits for that worker and no other", () => {
  const router = routerOf([1, 1, "GPU"], [2, 4, "GPU"]);
  const pinned = requirementKey(["GPU"], 1);
  assert.equal(router.pick(pinned), 1);
  router.take(1);
  assert.equal(router.pick(pinned), undefined);
  assert.equal(router.pick(GPU), 2);
  router.release(1);
  router.setDraining(1, true);
  assert.equal(router.pick(pinned), undefined);
  assert.equal(router.canEver(pinned), false);
  router.setDraining(1, false);
  router.setAway(1, true);
  assert.equal(router.pick(pinned), undefined);
  assert.equal(router.canEver(pinned), true);
  assert.equal(router.canEver(requirementKey(["HIGH_MEM"], 1)), false);
  assert.equal(router.canEver(requirementKey([], 77)), false);
});

test("pick() keeps no class for a pinned requirement", () => {
  const router = routerOf([1, 1]);
  for (let id = 0; id < 10_000; id++) router.pick(requirementKey([], id));
  router.register(requirementKey([], 1));
  assert.equal(router.classes, 0);
});

test("take() and release() refuse more than there is", () => {
  const router = routerOf([1, 1], [2, 0]);
  assert.throws(() => router.release(1), /worker 1 has nothing running/);
  router.take(1);
  assert.throws(() => router.take(1), /worker 1 has 1 slots, and all are taken/);
  assert.throws(() => router.take(2), /worker 2 has 0 slots/);
  assert.throws(() => router.take(3), /worker 3 is not here/);
  assert.throws(() => router.release(3), /worker 3 is not here/);
  assert.throws(() => router.setDraining(3, true), /worker 3 is not here/);
  assert.deepEqual([router.running(1), router.free(1)], [1, 0]);
});

test("addWorker() refuses a second worker of one id, and slots or ids that are no counts", () => {
  const router = routerOf([1, 1]);
  assert.throws(() => router.addWorker({ id: 1, tags: [], slots: 2 }), /worker 1 is here already/);
  for (const slots of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 21]) {
    assert.throws(() => router.addWorker({ id: 2, tags: [], slots }), /offers/);
  }
  for (const id of [-1, 0.5, Number.NaN, 2 ** 32]) {
    assert.throws(() => router.addWorker({ id, tags: [], slots: 1 }), /worker id/);
  }
  assert.equal(router.size, 1);
});

test("requirementKey() is the same for requirements that ask for the same", () => {
  assert.equal(requirementKey(["GENERAL"]), requirementKey([]));
  assert.equal(requirementKey(["B", "A", "B", "GENERAL"]), requirementKey(["A", "B"]));
  assert.equal(requirementKey(["GENERAL"], 0), requirementKey([], 0));
});

test("requirementKey() differs for requirements that do not", () => {
  const keys = [
    requirementKey([]),
    requirementKey([], 0),
    requirementKey([], 1),
    requirementKey(["A"]),
    requirementKey(["A"], 1),
    requirementKey(["A", "B"]),
    requirementKey(["A.B"]),
    requirementKey(["A-B"]),
    requirementKey(["A:B"]),
    requirementKey(["AB"]),
  ];
  assert.equal(new Set(keys).size, keys.length);
});

test("a class made before its workers answers as one made after them", () => {
  const early = new Router();
  early.register(GPU);
  early.addWorker({ id: 2, tags: ["GPU"], slots: 2 });
  early.addWorker({ id: 1, tags: ["GPU", "GPU"], slots: 2 });
  early.addWorker({ id: 0, tags: [], slots: 2 });
  assert.deepEqual(fill(early, GPU), fill(routerOf([0, 2], [1, 2, "GPU"], [2, 2, "GPU"]), GPU));
});

test("classes stay within MAX_CLASSES and dropping one changes no answer", () => {
  const router = routerOf([1, 2, "T0"], [2, 2]);
  router.take(1);
  assert.equal(router.pick(requirementKey(["T0"])), 1);
  for (let tag = 1; tag <= 2 * MAX_CLASSES; tag++) {
    assert.equal(router.pick(requirementKey([`T${tag}`])), undefined);
  }
  assert.equal(router.classes, MAX_CLASSES);
  assert.equal(router.pick(requirementKey(["T0"])), 1);
  router.forget(requirementKey(["T0"]));
  router.forget(requirementKey(["T0"]));
  assert.equal(router.classes, MAX_CLASSES - 1);
  router.take(1);
  assert.equal(router.pick(requirementKey(["T0"])), undefined);
});

test("explain() names the tags that no worker has", () => {
  const router = routerOf([1, 1, "GPU"], [2, 1, "GPU"]);
  const reason = router.explain(requirementKey(["HIGH_MEM", "GPU"]));
  assert.equal(reason.kind, "no-capable-worker");
  assert.deepEqual(reason.kind === "no-capable-worker" && reason.missing, ["HIGH_MEM"]);
  assert.equal(sentence(reason), "no worker has GPU+HIGH_MEM (2 have GPU, 0 have HIGH_MEM)");
});

test("explain() names the combination when every tag is somewhere, but never together", () => {
  const reason = routerOf([1, 1, "GPU"], [2, 1, "HIGH_MEM"]).explain(
    requirementKey(["HIGH_MEM", "GPU"]),
  );
  assert.deepEqual(reason.kind === "no-capable-worker" && reason.missing, ["GPU+HIGH_MEM"]);
  assert.equal(sentence(reason), "no worker has GPU+HIGH_MEM (1 has GPU, 1 has HIGH_MEM)");
});

test("explain() counts the capable workers, their slots, the draining and the absent ones", () => {
  const router = routerOf([1, 2, "GPU"], [2, 3, "GPU"], [3, 9]);
  router.setDraining(1, true);
  for (let i = 0; i < 3; i++) router.take(2);
  const { need: _, ...reason } = router.explain(GPU);
  assert.deepEqual(reason, { kind: "no-free-slot", capable: 2, slots: 5, draining: 1, away: 0 });
  router.setAway(1, true);
  router.setAway(2, true);
  assert.equal(
    sentence(router.explain(GPU)),
    "no free slot on the 2 workers with GPU (5 slots, 1 draining, 1 away)",
  );
  assert.equal(router.explain(ANY).kind, "free");
});

test("describe() has a sentence for every reason", () => {
  const full = routerOf([7, 1, "GPU"]);
  full.take(7);
  const draining = routerOf([7, 4]);
  draining.setDraining(7, true);
  const away = routerOf([7, 4]);
  away.setAway(7, true);
  assert.equal(sentence(away.explain(ANY)), "no free slot on the only worker (4 slots, away)");
  const pair = routerOf([1, 1], [2, 0]);
  pair.take(1);
  const said = (router: Router, tags: string[], pinned?: number) =>
    sentence(router.explain(requirementKey(tags, pinned)));
  assert.equal(said(new Router(), []), "no worker is connected");
  assert.equal(said(new Router(), ["GPU"]), "no worker is connected");
  assert.equal(said(full, [], 8), "worker 8 is not connected");
  assert.equal(said(full, ["TPU"], 7), "worker 7 does not have TPU");
  assert.equal(said(full, ["TPU"]), "no worker has TPU");
  assert.equal(said(full, ["GPU"]), "no free slot on the only worker with GPU (1 slot)");
  assert.equal(said(full, [], 7), "no free slot on worker 7 (1 slot)");
  assert.equal(said(draining, [], 7), "no free slot on worker 7 (4 slots, draining)");
  assert.equal(said(draining, []), "no free slot on the only worker (4 slots, draining)");
  assert.equal(said(pair, []), "no free slot on the 2 workers (1 slot)");
  assert.equal(said(routerOf([1, 1]), []), "a worker has a free slot");
  assert.equal(said(routerOf([1, 1, "GPU"]), ["GPU"]), "a worker with GPU has a free slot");
  assert.equal(said(routerOf([1, 1]), [], 1), "worker 1 has a free slot");
});
