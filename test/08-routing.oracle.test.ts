/** The router against the slow, obvious answer: look at every worker, every time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { requirementKey, Router } from "#routing";

interface Worker {
  id: number;
  tags: string[];
  slots: number;
  running: number;
  draining: boolean;
  away: boolean;
}

const TAGS = ["GPU", "HIGH_MEM", "SSD", "EU"];
const SEED = Number(process.env["TITAN_SEED"] ?? 8);

/** mulberry32: a 32-bit generator in four lines, enough to shuffle operations. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function capable(workers: Worker[], tags: string[], pinned?: number): Worker[] {
  return workers.filter(
    (worker) =>
      (pinned === undefined || worker.id === pinned) &&
      tags.every((tag) => worker.tags.includes(tag)),
  );
}

function scan(workers: Worker[], tags: string[], pinned?: number): number | undefined {
  let best: Worker | undefined;
  for (const worker of capable(workers, tags, pinned)) {
    if (worker.draining || worker.away || worker.running >= worker.slots) continue;
    // Whole numbers, cross-multiplied: the oracle must not share the router's division.
    const difference =
      best === undefined
        ? -1
        : worker.running * best.slots - best.running * worker.slots ||
          worker.running - best.running ||
          worker.id - best.id;
    if (difference < 0) best = worker;
  }
  return best?.id;
}

function rebuilt(workers: Worker[]): Router {
  const router = new Router();
  for (const { id, tags, slots } of workers) router.addWorker({ id, tags, slots });
  for (const { id, running, draining, away } of workers) {
    for (let i = 0; i < running; i++) router.take(id);
    router.setDraining(id, draining);
    router.setAway(id, away);
  }
  return router;
}

function subsets(): string[][] {
  return Array.from({ length: 2 ** TAGS.length }, (_, mask) => {
    return TAGS.filter((_tag, bit) => mask & (1 << bit));
  });
}

/** Every question about every subset of the tags, free and pinned. */
function agree(router: Router, workers: Worker[], where: string): void {
  for (let mask = 0; mask < 2 ** TAGS.length; mask++) {
    const tags = TAGS.filter((_, bit) => mask & (1 << bit));
    for (const pinned of [undefined, mask % 30]) {
      const key = requirementKey(tags, pinned);
      const expected = scan(workers, tags, pinned);
      const some = capable(workers, tags, pinned).length > 0;
      assert.equal(router.pick(key), expected, `pick ${key} ${where}`);
      assert.equal(router.hasFree(key), expected !== undefined, `hasFree ${key} ${where}`);
      assert.equal(
        router.canEver(key),
        capable(workers, tags, pinned).some(({ draining }) => !draining),
        `canEver ${key} ${where}`,
      );
      assert.equal(
        router.explain(key).kind,
        expected !== undefined ? "free" : some ? "no-free-slot" : "no-capable-worker",
        where,
      );
    }
  }
}

test("pick() agrees with a full scan after any sequence of operations, and so does a router " +
  "rebuilt from scratch", () => {
  const below = generator(SEED);
  const router = new Router();
  let workers: Worker[] = [];
  for (let step = 0; step < 6_000; step++) {
    const where = `(TITAN_SEED=${SEED}, step ${step})`;
    const worker = workers[below(Math.max(1, workers.length))];
    const dice = below(100);
    if (worker === undefined || (dice < 6 && workers.length < 30)) {
      const id = below(30);
      if (workers.some((other) => other.id === id)) continue;
      const added = {
        id,
        tags: TAGS.filter(() => below(2) === 0),
        slots: below(6),
        running: 0,
        draining: false,
        away: false,
      };
      workers.push(added);
      router.addWorker(added);
    } else if (dice < 9) {
      workers = workers.filter((other) => other !== worker);
      router.removeWorker(worker.id);
    } else if (dice < 14) {
      worker.draining = below(3) === 0;
      worker.away = below(4) === 0;
      router.setDraining(worker.id, worker.draining);
      router.setAway(worker.id, worker.away);
    } else if (dice < 16) {
      router.forget(requirementKey(TAGS.filter(() => below(2) === 0)));
    } else if (dice < 65) {
      const tags = TAGS.filter(() => below(4) === 0);
      const chosen = router.pick(requirementKey(tags));
      assert.equal(chosen, scan(workers, tags), where);
      const taker = workers.find(({ id }) => id === chosen);
      if (taker !== undefined) {
        taker.running++;
        router.take(taker.id);
      }
    } else if (worker.running > 0) {
      worker.running--;
      router.release(worker.id);
    }
    for (const { id, running, slots } of workers) {
      if (id !== worker?.id) continue;
      assert.deepEqual(
        [router.running(id), router.free(id), router.has(id)],
        [running, slots - running, true],
        where,
      );
    }
    if (step % 100 === 0) {
      agree(router, workers, where);
      // Every question has been asked, so every subset of the tags has its class.
      const seats = subsets().map((tags) => capable(workers, tags).length);
      const sum = seats.reduce((a, b) => a + b, 0);
      assert.equal(router.seats, sum, `one seat for each worker and class that it fits ${where}`);
      agree(rebuilt(workers), workers, `rebuilt ${where}`);
    }
  }
});

test("pick(), take() and release() of 32 times as many workers cost far less than a scan", () => {
  const nsPerDispatch = (count: number): number => {
    const router = new Router();
    for (let id = 0; id < count; id++) router.addWorker({ id, tags: [], slots: 4 });
    const key = requirementKey([]);
    const lap = (): number => {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 500; i++) {
        const id = router.pick(key)!;
        router.take(id);
        router.release(id);
      }
      return Number(process.hrtime.bigint() - start) / 500;
    };
    // The best of many short laps: a busy machine makes laps slower, never faster.
    return Math.min(...Array.from({ length: 60 }, lap));
  };
  nsPerDispatch(1_000); // lets the compiler settle
  const few = nsPerDispatch(1_000);
  const many = nsPerDispatch(32_000);
  // A scan would cost 32 times as much; fifteen levels instead of ten cost less than twice, caches
  // aside.
  assert.ok(
    many < 12 * few,
    `32,000 workers: ${many.toFixed(0)} ns, 1,000 workers: ${few.toFixed(0)} ns`,
  );
});
