/**
 * What each fact has changed of a run, and the fold of it that the dashboard has: after each fact
 * of a log it has the rows that the master has.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { jobInfo, runInfo, type State } from "#core";
import { History } from "#history";
import { openLog } from "#log";
import { changedJson, jobJson, runJson } from "#rows";
import { SimWorld } from "#simhost";
import { RunPast, type Moment, type PastFact } from "../src/dashboard/page/past/fold.ts";
import type { Job, Run } from "../src/dashboard/page/rows.ts";
import { Bench, randomLife, spec } from "./10-master.core.ts";
import { agentMoves } from "./18-agents.core.ts";

const DIR = "/state/log";

/** The work, with the past of a log of these events. */
function withPast(
  bodies: readonly Buffer[], work: (past: History) => Promise<void>,
): Promise<void> {
  const world = new SimWorld({ seed: 1, trace: "hash" });
  const host = world.host("m");
  return world.settle((async () => {
    const log = await openLog({ host, dir: DIR });
    for (const body of bodies) log.append(body);
    await log.durable();
    const past = new History(host, DIR);
    await work(past);
    await past.close();
    await log.close();
  })());
}

/** As `history/at` tells it. */
function rowsOf(state: State, id: string): { run: Run; jobs: Job[] } | undefined {
  const run = state.runsById.get(id);
  if (run === undefined) return undefined;
  const ids = run.jobs.map(({ spec }) => spec.id);
  const jobs = run.jobs.map((job) => {
    const info = jobInfo(state, job, state.at);
    return jobJson(info, info.dependsOn.map((index) => ids[index]!), state.at) as Job;
  });
  return { run: runJson(runInfo(run)) as Run, jobs };
}

/**
 * Without what others change, what goes with the time, and what a moment alone tells. A worker that
 * has left is a number to the master, and the fold remembers its name.
 */
function plain(job: Job, expected: Job): object {
  const { tookMs, waitedMs, reason, worker, result: _, ...rest } = job;
  return {
    ...rest,
    ...(job.status !== "RUNNING" && { tookMs }), ...(job.status !== "WAITING" && { waitedMs }),
    ...(expected.worker?.startsWith("#") !== true && { worker }),
    ...(!["PENDING", "WAITING"].includes(job.status) && { reason }),
  };
}

async function factsOf(past: History, run: string, limit: number): Promise<PastFact[]> {
  const all: PastFact[] = [];
  for (let from: number | undefined = 0; from !== undefined;) {
    const { facts, changed, next }: Awaited<ReturnType<History["facts"]>> =
      await past.facts({ from, limit, run, changes: true });
    for (const [index, { text }] of facts.entries()) {
      const fact = JSON.parse(text) as PastFact;
      all.push({ ...fact, changed: changedJson(changed[index]!, fact.at) as never });
    }
    from = next;
  }
  return all;
}

async function agrees(bodies: readonly Buffer[], limit: number): Promise<number> {
  let compared = 0;
  await withPast(bodies, async (past) => {
    const { first, last } = await past.span();
    const ids = new Set<string>();
    for (let seq = first; seq <= last; seq++) {
      await past.at({ seq }, ({ state }) => {
        for (const id of state.runsById.keys()) ids.add(id);
      });
    }
    const folds = new Map<string, RunPast>();
    for (const id of ids) {
      const [begin, ...facts] = await factsOf(past, id, limit);
      const base = await past.at({ seq: begin!.seq }, ({ state }) => rowsOf(state, id)!);
      const moment: Moment = {
        seq: begin!.seq, at: begin!.at, run: base.run,
        jobs: new Map(base.jobs.map((job) => [job.id, job])),
      };
      const own = new RunPast(begin!, moment);
      for (const fact of facts) own.add(fact);
      folds.set(id, own);
    }
    for (let seq = first; seq <= last; seq++) {
      const rows = await past.at({ seq }, ({ state }) =>
        new Map([...ids].map((id) => [id, rowsOf(state, id)])));
      for (const [id, own] of folds) {
        const expected = rows.get(id);
        if (expected === undefined) continue;
        const found = own.at(own.placeOf(seq));
        const where = `${id} after fact ${seq}`;
        assert.deepEqual(found.run, expected.run, where);
        const jobs = [...found.jobs.values()];
        assert.equal(jobs.length, expected.jobs.length, where);
        for (const [index, job] of expected.jobs.entries()) {
          const [own, wanted] = [plain(jobs[index]!, job), plain(job, job)];
          // A comparison of texts takes a tenth of the time.
          if (JSON.stringify(own) !== JSON.stringify(wanted)) assert.deepEqual(own, wanted, where);
        }
        compared += 1;
      }
    }
  });
  return compared;
}

test("the fold of a run agrees with the master after each fact of random lives", async () => {
  let compared = 0;
  for (let seed = 900; seed < 904; seed++) {
    const { log } = randomLife(seed, 150, () => undefined, {
      services: seed % 2 === 0, journals: true, forgets: seed % 3 === 0,
      ...(seed % 2 === 1 && { more: agentMoves }),
    });
    compared += await agrees(log, 1 + seed % 7 * 20);
  }
  assert.ok(compared > 500, `${compared} moments`);
});

test("what others have changed of a run is found among thousands of their facts", async () => {
  const bench = new Bench(7);
  bench.submit([spec("late", { delayMs: 60_000 })]);
  for (let count = 0; count < 5_000; count++) bench.commit([{ type: "TimePassed", at: bench.now }]);
  bench.tick(60_000);
  await withPast(bench.log, async (past) => {
    const { last } = await past.span();
    const [id] = await past.at({ seq: 1 }, ({ state }) => [...state.runsById.keys()]);
    const facts = await factsOf(past, id!, 100);
    assert.deepEqual(facts.map(({ type }) => type), ["RunSubmitted", "TimePassed"]);
    assert.deepEqual(facts.map(({ seq }) => seq), [1, last]);
    assert.equal(facts[0]!.changed!.jobs[0]!.reason, "delayed for another 60.0 s");
    assert.match(facts[1]!.changed!.jobs[0]!.reason, /^no worker/);
  });
});

test("a budget changes runs that its facts do not name; a page of facts has an end", async () => {
  const bench = new Bench(8);
  bench.submit([spec("a")], { agent: { id: "g", budget: { jobs: 9 } } as never });
  const at = bench.now;
  bench.commit([{ type: "BudgetReached", group: "g", at, what: "jobs", percent: 80, words: "" }]);
  const jobs = Array.from({ length: 4_000 }, (_, index) => spec(`j${index}`));
  const id = bench.submit(jobs);
  bench.execute({ type: "Cancel", run: id });
  bench.execute({ type: "Retry", run: id, from: undefined });
  bench.execute({ type: "Cancel", run: id });
  const more = Array.from({ length: 1_001 }, (_, index) => spec(`more-${index}`));
  const large = bench.submit([...jobs, ...more]);
  await withPast(bench.log, async (past) => {
    const [agent] = await past.at({ seq: 1 }, ({ state }) => [...state.runsById.keys()]);
    const types = (await factsOf(past, agent!, 100)).map(({ type }) => type);
    assert.deepEqual(types, ["RunSubmitted", "BudgetReached"]);
    const page = await past.facts({ from: 0, limit: 100, run: id, changes: true });
    assert.deepEqual([page.facts.length, page.next], [3, 6]);
    const all = await factsOf(past, id, 100);
    assert.deepEqual(all.map(({ changed }) => changed!.jobs.length), [4_000, 4_000, 4_000, 4_000]);
    const [first] = await factsOf(past, large, 1);
    assert.deepEqual([first!.changed!.all, first!.changed!.jobs.length], [true, 0]);
  });
});

test("the fold of a run agrees with the master in logs of an older version", async () => {
  for (const file of ["random-lives.json", "service-lives.json"]) {
    const text = readFileSync(new URL(`data/logs/${file}`, import.meta.url), "utf8");
    for (const { events } of (JSON.parse(text) as { lives: { events: string[] }[] }).lives) {
      await agrees(events.map((body) => Buffer.from(body, "base64")), 10);
    }
  }
});
