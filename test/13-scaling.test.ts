/** The contract of chapter 13: from what is seen to what is done. Written against "#scaling". */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULT_IDLE_MS, definePool, MAX_POOLS, MAX_STARTING, NEW_POOL, nextHistory, plan, PoolError,
  type Pool, type PoolHistory, type WorkerFacts,
} from "#scaling";
import { acts, gpu, NOW, planFor, seen, start, waits, web, worker } from "./13-scaling.support.ts";

/** 0, 1, 2, … */
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const idleLong = { idleSince: NOW - DEFAULT_IDLE_MS };

test("plan() starts nobody before jobs have waited long enough, and says when that is", () => {
  const early = planFor({ waiting: [waits("GENERAL", 9, 999)] });
  assert.deepEqual([early.actions, early.nextAt], [[], NOW + 1]);
  assert.equal(
    early.classes[0]?.why,
    "pool web starts a worker in 0.0s if no slot is free by then",
  );
  const due = planFor({ waiting: [waits("GENERAL", 9, 1000)] });
  assert.deepEqual([acts(due), due.nextAt], [["start web 3"], undefined]);
});

test("plan() starts as many at once as the backlog needs, and not one more", () => {
  for (const [jobs, count] of [[1, 1], [4, 1], [5, 2], [36, 9], [37, 10], [40, 10]] as const) {
    assert.deepEqual(acts(planFor({ waiting: [waits("GENERAL", jobs)] })), [`start web ${count}`]);
  }
  assert.deepEqual(acts(planFor({ waiting: [waits("GENERAL", 0)] })), []);
});

test("plan() adds up what several classes need of one pool", () => {
  const waiting = [waits("GPU", 4), waits("SSD", 4)];
  const both = definePool({ name: "both", tags: ["GPU", "SSD"], slots: 2 });
  assert.deepEqual(acts(planFor({ waiting }, [both])), ["start both 4"]);
});

test("plan() counts the slots that are free, that are coming, and that are only away", () => {
  const needed = (what: Parameters<typeof planFor>[0]): string[] => {
    return acts(planFor({ waiting: [waits("GENERAL", 12)], ...what }));
  };
  assert.deepEqual(needed({}), ["start web 3"]);
  assert.deepEqual(needed({ workers: [worker(1, { busy: 1 })] }), ["start web 3"]);
  assert.deepEqual(needed({ workers: [worker(1, { busy: 0 })] }), ["start web 2"]);
  assert.deepEqual(needed({ starts: [start(1), start(2)] }), ["start web 1"]);
  assert.deepEqual(needed({ starts: [start(1), start(2), start(3)] }), []);
  assert.deepEqual(needed({ workers: [worker(1, { state: "away" })] }), ["start web 2"]);
  const byHand = worker(1, { pool: undefined, tags: ["SSD"], slots: 8 });
  assert.deepEqual(
    needed({ workers: [byHand] }),
    ["start web 1"],
    "a worker of no pool is one, too",
  );
});

test("plan() does not count slots that nobody can have", () => {
  for (const state of ["draining", "retiring", "stopping"] as const) {
    // A busy one, or it would be stopped as well.
    const leaving = worker(1, { state, slots: 12, busy: 1 });
    const made = planFor({ waiting: [waits("GENERAL", 12)], workers: [leaving] });
    assert.deepEqual(acts(made), ["start web 3"], state);
  }
  const cancelled = planFor({
    waiting: [waits("GENERAL", 12)], starts: [start(1, { state: "cancelled" })],
  });
  assert.deepEqual(acts(cancelled), ["start web 3"]);
  const full = worker(1, { slots: 2, busy: 5 });
  const overfull = planFor({ waiting: [waits("GENERAL", 4)], workers: [full] });
  assert.deepEqual(
    acts(overfull),
    ["start web 1"],
    "more attempts than slots are no negative slots",
  );
});

test("plan() never takes a pool above its maximum, whatever its workers are about to do", () => {
  const states = ["ready", "away", "draining", "retiring", "stopping"] as const;
  const workers = states.map((state, id) => worker(id, { state, busy: 4 }));
  const starts = [start(10), start(11, { state: "cancelled" }), start(12, { at: NOW - 60_000 })];
  const made = planFor({ waiting: [waits("GENERAL", 500)], workers, starts });
  assert.deepEqual(
    acts(made),
    ["cancel web-12 failed"],
    "the failed start is there until it is gone",
  );
  const wide = planFor({ waiting: [waits("GENERAL", 500)], workers, starts: starts.slice(0, 2) });
  assert.deepEqual(acts(wide), ["start web 3"]);
  const [web1] = wide.pools;
  assert.deepEqual([web1?.running, web1?.starting, web1?.leaving], [2, 4, 4]);
  assert.equal(web1?.wanted, 2 + Math.ceil(500 / 4), "and it says how many there should be");
  const full = upTo(10).map((id) => worker(id, { busy: 4 }));
  const none = planFor({ waiting: [waits("GENERAL", 5)], workers: full });
  assert.deepEqual(acts(none), []);
  assert.equal(none.pools[0]?.why, "pool web has its maximum of 10 workers");
  assert.equal(none.classes[0]?.why, "pool web has its maximum of 10 workers");
});

test(`plan() has at most ${MAX_STARTING} starts of a pool under way`, () => {
  const pools = [web({ max: 1000, slots: 1 })];
  const first = planFor({ waiting: [waits("GENERAL", 500)] }, pools);
  assert.deepEqual(acts(first), [`start web ${MAX_STARTING}`]);
  const starts = upTo(MAX_STARTING - 1).map((id) => start(id));
  const more = planFor({ waiting: [waits("GENERAL", 500)], starts }, pools);
  assert.deepEqual(acts(more), ["start web 1"]);
  const why = "436 more would be needed, but pool web starts at most 64 workers at once";
  assert.ok(more.pools[0]?.why.endsWith(why), more.pools[0]?.why);
});

test("plan() lets a class start workers of the pools with the fewest tags only", () => {
  const big = definePool({ name: "big", tags: ["GPU", "HIGH_MEM"], max: 10 });
  const pools = [big, gpu(), web()];
  const starts = (key: string, jobs: number, what = {}): string[] => {
    return acts(planFor({ waiting: [waits(key, jobs)], ...what }, pools));
  };
  assert.deepEqual(starts("GENERAL", 8), ["start web 2"]);
  assert.deepEqual(starts("GPU", 8), ["start gpu 4"]);
  assert.deepEqual(starts("HIGH_MEM", 8), ["start big 8"]);
  assert.deepEqual(starts("GPU+HIGH_MEM", 8), ["start big 8"]);
  const full = upTo(10).map((id) => worker(id, { busy: 4 }));
  assert.deepEqual(starts("GENERAL", 8, { workers: full }), [], "not even if that one is full");
});

test("plan() asks pools with equal tags in their order, and the next one when one cannot", () => {
  const pools = [web({ max: 2 }), definePool({ name: "cloud", slots: 4, max: 2 })];
  const starts = (jobs: number, history: Record<string, PoolHistory> = {}): string[] => {
    return acts(planFor({ waiting: [waits("GENERAL", jobs)], history }, pools));
  };
  assert.deepEqual(starts(8), ["start web 2"]);
  assert.deepEqual(starts(9), ["start web 2", "start cloud 1"]);
  assert.deepEqual(starts(99), ["start web 2", "start cloud 2"]);
  const failing = { web: { failures: 1, judgedAt: NOW } };
  assert.deepEqual(starts(8, failing), ["start cloud 2"]);
  const off = [web({ max: 0 }), gpu()];
  const instead = planFor({ waiting: [waits("GENERAL", 3)] }, off);
  assert.deepEqual(acts(instead), ["start gpu 2"], "a pool of none can serve nobody");
});

test("plan() waits as long as each pool says before it takes that one", () => {
  const pools = [web({ max: 1 }), definePool({ name: "cloud", upAfterMs: 60_000 })];
  const after = (waitedMs: number) => planFor({ waiting: [waits("GENERAL", 9, waitedMs)] }, pools);
  assert.deepEqual([acts(after(59_000)), after(59_000).nextAt], [["start web 1"], NOW + 1000]);
  assert.deepEqual(acts(after(60_000)), ["start web 1", "start cloud 5"]);
});

test("plan() gives each slot away once: first to those who have the fewest places to go", () => {
  // Three GPU jobs need two workers of two slots. The fourth slot is for one of the others.
  const both = planFor({ waiting: [waits("GENERAL", 5), waits("GPU", 3)] }, [web(), gpu()]);
  assert.deepEqual(acts(both), ["start web 1", "start gpu 2"]);
  const more = planFor({ waiting: [waits("GENERAL", 6), waits("GPU", 3)] }, [web(), gpu()]);
  assert.deepEqual(acts(more), ["start web 2", "start gpu 2"]);
  // X comes first, having waited longer, and leaves the worker with both tags to A.
  const free = (id: number, tags: string[]) => worker(id, { pool: undefined, tags, slots: 1 });
  const workers = [free(1, ["A", "X"]), free(2, ["X"])];
  const pools = [definePool({ name: "a", tags: ["A"] }), definePool({ name: "x", tags: ["X"] })];
  const fits = planFor({ waiting: [waits("A", 1), waits("X", 1, 3000)], workers }, pools);
  assert.deepEqual(acts(fits), []);
});

test("plan() gives slots to nobody who does not wait for a start yet", () => {
  const waiting = [waits("GPU", 8, 10), waits("GENERAL", 8)];
  const starts = upTo(2).map((id) => start(id));
  assert.deepEqual(acts(planFor({ waiting, starts }, [web(), gpu()])), []);
  // The GPU jobs could have taken these slots, but their own second is not over.
  const workers = [worker(1, { pool: "gpu", tags: ["GPU"], slots: 8 })];
  assert.deepEqual(acts(planFor({ waiting, workers }, [web(), gpu()])), []);
});

test("plan() says for whom no pool can start a worker, and why", () => {
  const waiting = [waits("GPU+SSD", 1), waits("GENERAL@7", 3)];
  const made = planFor({ waiting }, [web(), gpu()]);
  assert.deepEqual(made.actions, []);
  assert.deepEqual(
    made.classes.map(({ key, pools, why }) => [key, pools.length, why]),
    [
      ["GPU+SSD", 0, "no pool has GPU+SSD"],
      ["GENERAL@7", 0, "it waits for worker 7, and a new one would not help"],
    ],
  );
  const [alone] = planFor({ waiting }, []).classes;
  assert.equal(alone?.why, "there is no pool that could start a worker");
});

test("plan() gives its reasons in words", () => {
  const waiting = [waits("GPU", 12, 1400), waits("GENERAL", 1, 3000), waits("SSD", 2)];
  const starts = upTo(2).map((id) => start(id, { pool: "gpu", name: `gpu-${id}` }));
  const made = planFor({ waiting, starts }, [web(), gpu({ max: 5 })]);
  assert.deepEqual(made.actions.map(({ reason }) => reason), [
    "1 job has waited 3.0s",
    "12 jobs that need GPU have waited 1.4s; 2 workers of 2 slots are starting; " +
      "1 more would be needed, but pool gpu has its maximum of 5 workers",
  ]);
  assert.deepEqual(made.classes.map(({ key, why }) => `${key}: ${why}`), [
    "SSD: no pool has SSD",
    "GPU: pool gpu is starting 5 workers",
    "GENERAL: pool web is starting a worker",
  ]);
  const [several] = planFor({ waiting: [waits("GPU", 1), waits("GENERAL", 2)] }, [gpu()]).actions;
  assert.equal(several?.reason, "2 jobs have waited 2.0s, and so have those of 1 other class");
  const [one] = planFor({ waiting: [waits("GPU", 1)] }, [gpu()]).actions;
  assert.equal(one?.reason, "1 job that needs GPU has waited 2.0s");
  const coming = planFor({ waiting: [waits("GENERAL", 8)], starts: [start(1), start(2)] });
  assert.deepEqual(coming.classes.map(({ why }) => why), ["pool web is starting 2 workers"]);
  const free = planFor({ waiting: [waits("GENERAL", 1)], workers: [worker(1)] });
  assert.equal(free.classes[0]?.why, "a slot is free or on its way");
});

test("plan() keeps the minimum, whether somebody waits or not", () => {
  const pools = [web({ min: 3 })];
  const [fill] = planFor({}, pools).actions;
  assert.deepEqual([fill?.type, fill?.reason], ["start", "pool web keeps at least 3 workers"]);
  assert.deepEqual(acts(planFor({}, pools)), ["start web 3"]);
  assert.deepEqual(acts(planFor({ workers: [worker(1)], starts: [start(2)] }, pools)), [
    "start web 1",
  ]);
  const away = worker(2, { state: "away" });
  assert.deepEqual(acts(planFor({ workers: [worker(1), away], starts: [start(3)] }, pools)), []);
  const leaving = [worker(1), worker(2, { state: "draining" }), worker(3, { state: "stopping" })];
  assert.deepEqual(acts(planFor({ workers: leaving }, pools)), ["start web 2"]);
  const asked = planFor({ waiting: [waits("GENERAL", 5)] }, pools);
  assert.deepEqual(acts(asked), ["start web 3"], "two for those who wait are two of the three");
});

test("nextHistory() counts failures in a row; starts that fail together count once", () => {
  let history: PoolHistory = NEW_POOL;
  history = nextHistory(history, { type: "started", at: 5 });
  assert.deepEqual(history, { grewAt: 5, failures: 0, judgedAt: 0 });
  history = nextHistory(history, { type: "failed", at: 100, startedAt: 5 });
  history = nextHistory(history, { type: "failed", at: 101, startedAt: 99 });
  assert.deepEqual(history, { grewAt: 5, failures: 1, judgedAt: 100 });
  history = nextHistory(history, { type: "failed", at: 300, startedAt: 100 });
  assert.deepEqual(history, { grewAt: 5, failures: 2, judgedAt: 300 });
  history = nextHistory(history, { type: "arrived", at: 400 });
  assert.deepEqual(history, { grewAt: 400, failures: 0, judgedAt: 400 });
});

test("nextHistory() does not hold a failure against a pool that has worked " +
  "since that order", () => {
  const works = nextHistory(NEW_POOL, { type: "arrived", at: 400 });
  assert.equal(nextHistory(works, { type: "failed", at: 500, startedAt: 399 }), works);
  const failed = nextHistory(works, { type: "failed", at: 500, startedAt: 400 });
  assert.deepEqual(failed, { grewAt: 400, failures: 1, judgedAt: 500 });
  // Nine came, the tenth did not: it is replaced at once.
  const history = { web: { failures: 0, judgedAt: NOW - 100 } };
  const starts = [start(1, { at: NOW - 60_000 })];
  const made = planFor({ waiting: [waits("GENERAL", 4)], starts, history });
  assert.deepEqual(acts(made), ["start web 1", "cancel web-1 failed"]);
});

/** Without chance: 1, 2, 4, … 60 s. */
const steady = { maxAttempts: 1, delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0 };

test("plan() pauses after failed starts, longer each time, and then tries one at a time", () => {
  const pools = [web({ retry: steady })];
  const waiting = [waits("GENERAL", 40)];
  for (const [failures, pauseMs] of [[1, 1000], [2, 2000], [3, 4000], [9, 60_000]] as const) {
    const history = { web: { failures, judgedAt: NOW } };
    const before = planFor({ waiting, history }, pools, NOW + pauseMs - 1);
    assert.deepEqual([acts(before), before.nextAt], [[], NOW + pauseMs]);
    assert.match(before.classes[0]!.why, /^pool web tries again in 0\.0s after \d failed starts?$/);
    const after = planFor({ waiting, history }, pools, NOW + pauseMs);
    assert.deepEqual(acts(after), ["start web 1"]);
    assert.match(after.actions[0]!.reason, /s; one at a time after \d failed starts?$/);
  }
  const trying = { waiting, history: { web: { failures: 2, judgedAt: NOW - 9000 } } };
  const second = planFor({ ...trying, starts: [start(1)] }, pools);
  assert.deepEqual(acts(second), [], "one is under way");
  assert.match(second.pools[0]!.why, /starts one worker at a time after 2 failed starts$/);
  const came = { web: { failures: 0, judgedAt: NOW - 9000 } };
  assert.deepEqual(acts(planFor({ waiting, history: came }, pools)), ["start web 10"]);
});

test("plan() spreads the pauses of pools by chance, and decides the same when asked again", () => {
  const when = (name: string): number => {
    const history = { [name]: { failures: 5, judgedAt: NOW } };
    return planFor({ waiting: [waits("GENERAL", 1)], history }, [web({ name })]).nextAt!;
  };
  const times = ["a", "b", "c", "d"].map(when);
  assert.equal(new Set(times).size, 4);
  assert.deepEqual(["a", "b", "c", "d"].map(when), times);
  for (const at of times) assert.ok(at > NOW + 7999 && at <= NOW + 16_000, `${at - NOW}`);
});

test("plan() gives up a start that takes too long, and begins its pause in the same plan", () => {
  const pools = [web({ startTimeoutMs: 5000 })];
  const waiting = [waits("GENERAL", 4)];
  const patient = planFor({ waiting, starts: [start(1, { at: NOW - 4999 })] }, pools);
  assert.deepEqual([acts(patient), patient.nextAt], [[], NOW + 1]);
  const late = planFor({ waiting, starts: [start(1, { at: NOW - 5000 })] }, pools);
  assert.deepEqual(acts(late), ["cancel web-1 failed"]);
  assert.equal(late.actions[0]?.reason, "did not register within 5.0s");
  assert.ok(late.nextAt! > NOW && late.nextAt! <= NOW + 1000, "and tries again after it");
  const told = planFor({ waiting, starts: [start(1, { at: 0, state: "cancelled" })] }, pools);
  assert.deepEqual(acts(told), ["start web 1"], "a cancelled one is not cancelled a second time");
});

test("plan() drains a worker that has been idle for long enough, to the millisecond", () => {
  const early = planFor({ workers: [worker(1, { idleSince: NOW - DEFAULT_IDLE_MS + 1 })] });
  assert.deepEqual([acts(early), early.nextAt], [[], NOW + 1]);
  const due = planFor({ workers: [worker(1, idleLong)] });
  assert.deepEqual([acts(due), due.nextAt], [["drain web-1"], undefined]);
  assert.equal(due.actions[0]?.reason, "idle for 45.0s, and nothing waits for pool web");
});

test("plan() never drains or stops a worker on which something lives", () => {
  const kept: Partial<WorkerFacts>[] = [
    { busy: 1 }, { services: 1 }, { permanent: true }, { pool: undefined }, { pool: "another" },
  ];
  for (const fields of kept) {
    for (const state of ["ready", "away", "draining", "retiring", "stopping"] as const) {
      const made = planFor({ workers: [worker(1, { idleSince: 0, ...fields, state })] });
      assert.deepEqual(acts(made), [], JSON.stringify({ ...fields, state }));
    }
  }
  for (const state of ["away", "draining", "stopping"] as const) {
    assert.deepEqual(acts(planFor({ workers: [worker(1, { idleSince: 0, state })] })), [], state);
  }
});

test("plan() stops a worker only after a drain, when nothing runs there any more", () => {
  const stop = planFor({ workers: [worker(1, { state: "retiring", idleSince: NOW })] });
  assert.deepEqual(acts(stop), ["stop web-1"]);
  // A job that started between the look and the drain.
  const busy = planFor({ workers: [worker(1, { state: "retiring", busy: 1 })] });
  assert.deepEqual(acts(busy), []);
  assert.equal(busy.pools[0]?.why, "1 worker will stop when nothing runs there");
});

test("plan() drains the newest first, and keeps the minimum of ready workers", () => {
  const workers = [3, 1, 4, 2].map((id) => worker(id, idleLong));
  const drains = (fields: Partial<Pool>): string[] => acts(planFor({ workers }, [web(fields)]));
  assert.deepEqual(drains({}), ["drain web-4", "drain web-3", "drain web-2", "drain web-1"]);
  assert.deepEqual(drains({ min: 3 }), ["drain web-4"]);
  assert.deepEqual(drains({ min: 4 }), []);
  const others = [worker(8, { state: "away" }), worker(9, { state: "draining", busy: 1 })];
  const made = planFor({ workers: [...workers, ...others], starts: [start(10)] }, [
    web({ min: 3 }),
  ]);
  assert.deepEqual(acts(made), ["drain web-4"], "those that are not ready do not hold the minimum");
  const busy = worker(5, { busy: 1 });
  const two = planFor({ workers: [...workers, busy] }, [web({ min: 3 })]);
  assert.deepEqual(acts(two), ["drain web-4", "drain web-3"], "a busy one does");
});

test("plan() drains nobody while something waits that could run there", () => {
  const workers = [worker(1, idleLong)];
  assert.deepEqual(acts(planFor({ workers, waiting: [waits("GENERAL", 1, 0)] })), []);
  const others = planFor({ workers, waiting: [waits("GPU", 1, 0)] }, [web(), gpu()]);
  assert.deepEqual(acts(others), ["drain web-1"], "for others it is no use");
  const pinned = planFor({
    workers: [...workers, worker(2, idleLong)],
    waiting: [waits("GENERAL@2", 1)],
  });
  assert.deepEqual(acts(pinned), ["drain web-1"], "a job waits for worker 2 and no other");
  const gpus = [worker(3, { ...idleLong, pool: "gpu", tags: ["GPU"], busy: 0 })];
  const plain = planFor({ workers: gpus, waiting: [waits("GENERAL", 1, 0)] }, [web(), gpu()]);
  assert.deepEqual(acts(plain), [], "a GPU worker can run what needs nothing");
});

test("plan() drains nobody while a pool cools down after it has grown", () => {
  const pools = [web({ idleMs: 5000, cooldownMs: 60_000 })];
  const at = (ago: number) => {
    const history = { web: { grewAt: NOW - ago, failures: 0, judgedAt: 0 } };
    return planFor({ workers: [worker(1)], history }, pools);
  };
  assert.deepEqual([acts(at(59_999)), at(59_999).nextAt], [[], NOW + 1]);
  assert.deepEqual(acts(at(60_000)), ["drain web-1"]);
  assert.deepEqual(
    acts(planFor({ workers: [worker(1)] }, pools)),
    ["drain web-1"],
    "it never grew",
  );
});

test("plan() drains those above the maximum as soon as they are idle", () => {
  // Late arrivals of starts that were given up, or a maximum that somebody has lowered.
  const workers = [
    worker(1, { busy: 1 }),
    ...[2, 3, 4].map((id) => worker(id, { idleSince: NOW })),
  ];
  const made = planFor({ workers }, [web({ max: 2, cooldownMs: 60_000 })]);
  assert.deepEqual(acts(made), ["drain web-4", "drain web-3"]);
  assert.equal(made.actions[0]?.reason, "pool web has 4 workers, and its maximum is 2");
  const both = [2, 3].map((id) => worker(id, idleLong));
  const gone = worker(9, { state: "stopping" });
  const mixed = planFor({ workers: [...both, gone] }, [web({ max: 1 })]);
  assert.deepEqual(mixed.actions.map(({ reason }) => reason), [
    "pool web has 3 workers, and its maximum is 1",
    "idle for 45.0s, and nothing waits for pool web",
  ]);
  const leaving = [...workers.slice(0, 2), worker(9, { state: "stopping" })];
  assert.deepEqual(acts(planFor({ workers: leaving }, [web({ max: 2 })])), []);
  const late = planFor({ workers: workers.slice(0, 2), starts: [start(9, { at: 0 })] }, [
    web({ max: 2 }),
  ]);
  assert.deepEqual(acts(late), ["cancel web-9 failed"], "that one goes by itself");
});

test("plan() cancels a start that nobody has waited for during an idle time, newest first", () => {
  const pools = [web({ startTimeoutMs: 600_000, idleMs: 10_000 })];
  const starts = [start(1, { at: NOW - 30_000 }), start(2, { at: NOW - 20_000 })];
  const cancels = (what: object, fields: Partial<Pool> = {}): string[] => {
    return acts(planFor({ starts, ...what }, [{ ...pools[0]!, ...fields }]));
  };
  const neededAt = { web: NOW - 10_000 };
  assert.deepEqual(cancels({ neededAt }), ["cancel web-2", "cancel web-1"]);
  assert.deepEqual(cancels({ neededAt }, { min: 1 }), ["cancel web-2"]);
  assert.deepEqual(cancels({ neededAt, workers: [worker(7, { busy: 1 })] }, { min: 1 }).length, 2);
  assert.deepEqual(cancels({ neededAt: { web: NOW - 9999 } }), []);
  assert.deepEqual(cancels({}), [], "after a restart nobody knows: it begins to count now");
  assert.deepEqual(cancels({ neededAt, waiting: [waits("GENERAL", 1, 0)] }), []);
  assert.deepEqual(
    cancels({ neededAt, starts: [start(3, { at: NOW - 9999 })] }),
    [],
    "a fresh one",
  );
  const [first] = planFor({ starts, neededAt }, pools).actions;
  assert.equal(
    first?.reason,
    "ordered 20.0s ago, and nothing has waited for pool web for a while",
  );
});

test("plan() remembers when a pool was needed last, for the next observation", () => {
  const needed = planFor({ waiting: [waits("GENERAL", 1, 0)], neededAt: { web: 5, gpu: 7 } }, [
    web(),
    gpu(),
  ]);
  assert.deepEqual([...needed.neededAt], [["web", NOW], ["gpu", NOW]]);
  const idle = planFor({ neededAt: { web: 5 } }, [web(), gpu()]);
  assert.deepEqual([...idle.neededAt], [["web", 5], ["gpu", NOW]]);
});

test("plan() has a next look for each thing that time alone will change, and none " +
  "for the rest", () => {
  assert.equal(planFor({}).nextAt, undefined);
  const quiet = planFor({ workers: [worker(1)] }, [web({ min: 1 })]);
  assert.equal(quiet.nextAt, undefined, "the minimum stays, however idle");
  const idle = planFor({ workers: [worker(1), worker(2, { idleSince: NOW - 20_000 })] });
  assert.equal(idle.nextAt, NOW - 20_000 + DEFAULT_IDLE_MS);
  const needless = planFor({
    starts: [start(1, { at: NOW - 5000 })],
    neededAt: { web: NOW - 30_000 },
  });
  assert.equal(needless.nextAt, NOW - 5000 + DEFAULT_IDLE_MS);
  const pools = [web({ max: 1 })];
  const full = planFor(
    { waiting: [waits("GENERAL", 9)], workers: [worker(1, { busy: 4 })] },
    pools,
  );
  assert.equal(full.nextAt, undefined, "no time makes a maximum larger");
});

test("plan() says how each pool is", () => {
  const why = (what: Parameters<typeof planFor>[0], fields: Partial<Pool> = {}): string => {
    return planFor(what, [web(fields)]).pools[0]!.why;
  };
  assert.equal(why({}), "at its minimum");
  assert.equal(why({ workers: [worker(1)] }), "nothing waits");
  assert.equal(why({ workers: [worker(1)] }, { min: 1 }), "at its minimum");
  assert.equal(why({ starts: [start(1)] }), "1 worker of 4 slots is starting");
  assert.equal(why({ workers: [worker(1)], waiting: [waits("GENERAL", 1)] }), "jobs wait");
});

test("plan() does not depend on the order in which things are seen", () => {
  const waiting = [waits("A", 3), waits("B", 3), waits("A+B", 2), waits("GENERAL", 9)];
  const tags = [["A"], ["B"], ["A", "B"], [], ["A", "C"]];
  const workers = tags.flatMap((own, i) => [
    worker(i, { pool: undefined, tags: own, slots: 1 }), worker(i + 10, idleLong),
  ]);
  const pools = [
    web({ max: 3 }),
    definePool({ name: "a", tags: ["A"] }),
    definePool({ name: "b", tags: ["B"] }),
  ];
  const forward = planFor({ waiting, workers }, pools);
  const back = planFor({ waiting: waiting.toReversed(), workers: workers.toReversed() }, pools);
  assert.deepEqual(back, forward);
  assert.ok(forward.actions.length > 0);
});

test("plan() takes a time that lies ahead for this moment, as after a clock was set back", () => {
  const ahead = planFor({ waiting: [{ key: "GENERAL", jobs: 1, since: NOW + 5000 }] });
  assert.deepEqual([acts(ahead), ahead.nextAt], [[], NOW + 6000]);
  assert.match(ahead.classes[0]!.why, /starts a worker in 1\.0s/);
  const idle = planFor({ workers: [worker(1, { idleSince: NOW + 5000 })] });
  assert.deepEqual([acts(idle), idle.nextAt], [[], NOW + 5000 + DEFAULT_IDLE_MS]);
});

test("plan() stops for books that cannot be true, before they become a timer", () => {
  const bad = /Invariant broken/;
  for (const now of [NaN, Infinity]) assert.throws(() => plan(seen({}), [], now), bad);
  for (const fields of [{ jobs: NaN }, { jobs: -1 }, { jobs: 1.5 }, { since: NaN }]) {
    assert.throws(() => planFor({ waiting: [{ ...waits("GENERAL", 1), ...fields }] }), bad);
  }
  for (const fields of [{ slots: NaN }, { slots: -1 }, { busy: NaN }, { busy: -1 }, { busy: 0.5 },
    { services: NaN }, { services: -1 }, { idleSince: NaN }]) {
    assert.throws(() => planFor({ workers: [worker(1, fields)] }), bad, JSON.stringify(fields));
  }
  assert.throws(() => planFor({ starts: [start(1, { at: NaN })] }), bad);
  for (const fields of [{ failures: -1 }, { failures: 0.5 }, { judgedAt: NaN }, { grewAt: NaN }]) {
    const history = { web: { ...NEW_POOL, ...fields } };
    assert.throws(() => planFor({ history }), bad, JSON.stringify(fields));
  }
  assert.throws(() => planFor({ neededAt: { web: NaN } }), bad);
  assert.throws(() => planFor({}, [web(), web()]), /two pools are called web/);
  const many = upTo(MAX_POOLS + 1).map((id) => web({ name: `p${id}` }));
  assert.throws(() => planFor({}, many), bad);
  assert.doesNotThrow(() => planFor({}, many.slice(1)));
});

test("plan() has an answer for nothing, and for more than there can be", () => {
  assert.deepEqual(planFor({}, []).actions, []);
  const huge = planFor({ waiting: [waits("GENERAL", Number.MAX_SAFE_INTEGER)] });
  assert.deepEqual(acts(huge), ["start web 10"]);
  const stranger = planFor({
    starts: [start(1, { pool: "gone" })],
    workers: [worker(1, { pool: "gone" })],
  });
  assert.deepEqual(stranger.actions, [], "a pool that is not configured is nobody's business");
});

test("definePool() fills in what is not said", () => {
  assert.deepEqual(definePool({ name: "web" }), {
    name: "web",
    tags: [],
    slots: 1,
    min: 0,
    max: 5,
    upAfterMs: 1000,
    idleMs: 45_000,
    cooldownMs: 45_000,
    startTimeoutMs: 60_000,
    retry: { maxAttempts: 1, delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0.5 },
  });
  assert.deepEqual(definePool({ name: "a", tags: ["GPU", "GPU"] }).tags, ["GPU"]);
  assert.equal(definePool({ name: "a", idleMs: 7 }).cooldownMs, 7);
  assert.equal(definePool({ name: "a", idleMs: 7, cooldownMs: 0 }).cooldownMs, 0);
});

test("definePool() refuses what cannot be, by name", () => {
  const bad: [Partial<Pool>, RegExp][] = [
    [{ name: "" }, /name must begin with a letter or digit and go on with up to 63 letters/],
    [{ name: "a b" }, /name must begin/],
    [{ name: "a".repeat(65) }, /name must begin/],
    [{ name: 7 as never }, /name must begin/],
    [{ tags: ["a+b"] }, /tags must be up to 64 letters.*found "a\+b"/],
    [{ tags: "GPU" as never }, /tags must be a list/],
    [{ tags: upTo(65).map(String) }, /tags must be a list of at most 64/],
    [{ slots: 0 }, /slots must be a whole number from 1 to 4096/],
    [{ slots: NaN }, /slots/],
    [{ slots: "4" as never }, /slots/],
    [{ min: -1 }, /min/],
    [{ max: 1e9 }, /max must be a whole number from 0 to 4096/],
    [{ max: Infinity }, /max/],
    [{ min: 3, max: 2 }, /max is 2, below min, which is 3/],
    [{ upAfterMs: -1 }, /upAfterMs/],
    [{ upAfterMs: 0.5 }, /upAfterMs/],
    [{ idleMs: NaN }, /idleMs/],
    [{ cooldownMs: 2 ** 31 }, /cooldownMs/],
    [{ startTimeoutMs: 0 }, /startTimeoutMs must be a whole number from 1 to 2147483647/],
  ];
  for (const [fields, message] of bad) {
    assert.throws(() => definePool({ name: "web", ...fields }), (error) => {
      assert.ok(error instanceof PoolError && error.code === "bad-pool", JSON.stringify(fields));
      assert.match(error.message, message);
      assert.ok(Object.hasOwn(definePool({ name: "a" }), error.field));
      return error.message.startsWith("Cannot use pool ");
    });
  }
  assert.throws(() => definePool({ name: "a", retry: { ...steady, jitter: 2 } }), /retry policy/);
  const edge = { min: 4096, max: 4096, slots: 4096, upAfterMs: 0, idleMs: 0, startTimeoutMs: 1 };
  assert.doesNotThrow(() => definePool({ name: "a".repeat(64), ...edge }));
});
