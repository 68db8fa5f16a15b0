/** The pure parts of time travel: the fold, its playing, where somebody is, pages of the log. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { ApiError } from "../src/dashboard/page/api.ts";
import { placeText } from "../src/dashboard/page/past/bar.ts";
import { fold, RunPast, type Moment, type PastFact } from "../src/dashboard/page/past/fold.ts";
import { LogFacts } from "../src/dashboard/page/past/log.ts";
import { nextPicture, type Played } from "../src/dashboard/page/past/play.ts";
import { Latest, Travel, type Course } from "../src/dashboard/page/past/travel.ts";
import type { Job, JobStatus, Run } from "../src/dashboard/page/rows.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const run = { id: "r-1", name: "r", status: "RUNNING", submittedAt: 0, jobs: {} } as Run;
const job = (id: string, status: JobStatus, attempt = 0): Job => ({ id, status, attempt }) as Job;
const fact = (seq: number, ...jobs: Job[]): PastFact =>
  ({ seq, at: 1000 + seq, type: "JobStarted", text: `#${seq} JobStarted`, changed: { jobs } });
const first: Moment = {
  seq: 3, at: 1003, run, jobs: new Map([["a", job("a", "PENDING")], ["b", job("b", "PENDING")]]),
};

test("fold() puts changed rows in their places, new ones last, and leaves the others", () => {
  const ended = { ...run, status: "COMPLETED" };
  const after = fold(first, [
    fact(4, job("a", "RUNNING", 1)), fact(6), fact(7, job("c", "PENDING")),
    { ...fact(9), changed: { run: ended, jobs: [] } },
  ]);
  assert.deepEqual([...after.jobs.values()].map(({ id, status }) => `${id} ${status}`), [
    "a RUNNING", "b PENDING", "c PENDING",
  ]);
  assert.equal(after.jobs.get("b"), first.jobs.get("b"));
  assert.deepEqual([after.seq, after.at, after.run], [9, 1009, ended]);
  assert.equal(first.jobs.size, 2);
  assert.equal(fold(first, [fact(4)]).jobs, first.jobs);
});

test("RunPast goes anywhere, also back, and folds few facts for it", () => {
  const past = new RunPast(fact(3), first);
  for (let seq = 4; seq < 3000; seq += 2) past.add(fact(seq, job("a", "RUNNING", seq)));
  const facts = past.facts.length;
  assert.equal(facts, 1499);
  const attempt = (place: number): number => past.at(place).jobs.get("a")!.attempt;
  for (const place of [facts, 1, 700, 699, 701, 2, 1300, facts]) {
    assert.equal(attempt(place), place === 1 ? 0 : past.facts[place - 1]!.seq, `place ${place}`);
  }
  const [before, within, after] = [past.placeOf(0), past.placeOf(701), past.placeOf(1e9)];
  assert.deepEqual([before, past.facts[within - 1]!.seq, after], [1, 700, facts]);
  assert.equal(past.placeOf(Number.NaN), 1);
  // A base that came from elsewhere counts, whatever the facts say.
  const known: Moment = { ...first, seq: 4000, jobs: new Map([["z", job("z", "DEAD")]]) };
  past.add({ ...fact(4000), changed: { jobs: [], all: true } }, known);
  past.add(fact(4001, job("y", "PENDING")));
  assert.deepEqual([...past.at(facts + 2).jobs.keys()], ["z", "y"]);
  assert.deepEqual([...past.at(facts + 1).jobs.keys()], ["z"]);
  assert.deepEqual([...past.at(facts).jobs.keys()], ["a", "b"]);
});

test("nextPicture() shows bursts in one, cuts pauses, and takes fact by fact its time", () => {
  const times = [0, 5, 10, 15, 60, 100_000, 100_001];
  const played = (more: Partial<Played>): Played => ({
    speed: "1", leastMs: 50, count: times.length, atOf: (place) => times[place - 1], ...more,
  });
  assert.deepEqual(nextPicture(1, played({})), { place: 5, waitMs: 60 });
  assert.deepEqual(nextPicture(5, played({})), { place: 6, waitMs: 2_000 });
  assert.deepEqual(nextPicture(5, played({ speed: "4" })), { place: 6, waitMs: 500 });
  // What stands before a pause is seen before it.
  assert.deepEqual(nextPicture(2, played({ speed: "16" })), { place: 5, waitMs: 50 });
  assert.deepEqual(nextPicture(6, played({})), { place: 7, waitMs: 50 });
  assert.deepEqual(nextPicture(1, played({ speed: "fact" })), { place: 2, waitMs: 800 });
  assert.deepEqual(nextPicture(1, played({ speed: "fact", leastMs: 1_000 }))!.waitMs, 1_000);
  for (const speed of ["1", "fact"] as const) {
    assert.equal(nextPicture(7, played({ speed })), undefined);
    assert.equal(nextPicture(3, played({ speed, atOf: () => undefined })), undefined);
  }
});

test("the slider says where it is in words", () => {
  const words = { ...fact(14), text: "#14 JobStarted build#1 on w1" };
  assert.match(placeText(12, { count: 80, isGrowing: false }, words),
    /^fact 12 of 80, \d\d:\d\d:01\.014, JobStarted build#1 on w1$/);
  assert.match(placeText(1, { count: 9, isGrowing: true }, words), /^fact 1 of 9 so far, /);
  assert.equal(placeText(1, { count: 1, isGrowing: true }, undefined), "reading the log");
  assert.equal(placeText(3, { count: 9, isGrowing: false }, undefined), "fact 3 of 9");
});

/** Facts 3, 5, 7, … one a second; a page at `?at=`. */
function travelAt(query: string): {
  travel: Travel; url: () => string; drawn: () => number; rests: () => number;
} {
  let url = new URL(`http://t/runs/r-1${query}`);
  let drawn = 0;
  let rests = 0;
  const course: Course = {
    count: 10, isGrowing: false,
    fact: (place) => ({ ...fact(2 * place + 1), at: 1_000 * place }),
    seqOf: (place) => 2 * place + 1,
    placeOf: (seq) => Math.max(1, Math.min(10, Math.floor((seq - 1) / 2))),
  };
  const context = (): Context => ({
    url, navigate: (to: string) => { url = new URL(to, url); },
  }) as unknown as Context;
  const travel = new Travel(course, {
    context, redraw: () => void drawn++, rested: () => void rests++,
  });
  return { travel, url: () => url.search, drawn: () => drawn, rests: () => rests };
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  Object.assign(globalThis, { matchMedia: () => ({ matches: false }) });
});

/** A timer that is set meanwhile has its time, too. */
function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 10) mock.timers.tick(10);
}

test("Travel moves within its facts, and the address follows once it rests", () => {
  const { travel, url, rests } = travelAt("?at=8&view=table");
  assert.deepEqual([travel.seq, travel.place], [8, 3]);
  travel.step(1);
  travel.step(1);
  assert.deepEqual([travel.seq, travel.place, travel.isResting], [11, 5, false]);
  assert.equal(url(), "?at=8&view=table");
  pass(300);
  assert.deepEqual([url(), travel.isResting, rests()], ["?at=11&view=table", true, 1]);
  travel.go(99);
  assert.equal(travel.place, 10);
  travel.go(-1);
  assert.equal(travel.place, 1);
  // Drawn once more before the address has followed: nothing new in it.
  travel.follow(new URL("http://t/?at=11"));
  assert.equal(travel.place, 1);
  travel.follow(new URL("http://t/?at=9"));
  assert.equal(travel.place, 4);
  travel.follow(new URL("http://t/?at=latest"));
  assert.equal(travel.place, 10);
  // The end has no number: facts may come.
  pass(300);
  assert.equal(url(), "?at=11&view=table");
  travel.step(-1);
  travel.close();
  pass(300);
  assert.equal(url(), "?at=11&view=table");
});

test("Travel plays to the end, pauses when somebody steps, and begins anew at the end", () => {
  const { travel, drawn } = travelAt("?at=5");
  travel.toggle();
  pass(2_500);
  assert.deepEqual([travel.place, travel.isPlaying], [4, true]);
  travel.setSpeed("4");
  pass(500);
  assert.equal(travel.place, 6);
  travel.step(-1);
  pass(5_000);
  assert.deepEqual([travel.place, travel.isPlaying], [5, false]);
  travel.toggle();
  pass(10_000);
  assert.deepEqual([travel.place, travel.isPlaying], [10, false]);
  travel.toggle();
  assert.deepEqual([travel.place, travel.isPlaying], [1, true]);
  travel.toggle();
  const { place } = travel;
  const before = drawn();
  travel.close();
  pass(5_000);
  assert.deepEqual([travel.place, drawn()], [place, before]);
  // For people who do not want motion it is a slide show.
  Object.assign(globalThis, { matchMedia: () => ({ matches: true }) });
  const calm = travelAt("?at=3").travel;
  calm.setSpeed("16");
  calm.toggle();
  pass(990);
  assert.equal(calm.place, 1);
  pass(20);
  assert.ok(calm.place > 1);
  calm.close();
});

const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

test("Latest asks once at a time, for what is wanted last, and once more if in vain", async () => {
  const asked: string[] = [];
  let answer: (path: string) => unknown = (path) => `answer to ${path}`;
  const latest = new Latest<string>({
    get: async (path) => {
      asked.push(path);
      await settled();
      return answer(path);
    },
    redraw: () => undefined,
  });
  for (const path of ["a", "b", "c"]) latest.want(path);
  for (let turn = 0; turn < 4; turn++) await settled();
  assert.deepEqual([asked, latest.value], [["a", "c"], "answer to c"]);
  assert.deepEqual([latest.answerTo("a"), latest.answerTo("c")], [undefined, "answer to c"]);
  answer = () => { throw new ApiError(0, "Cannot reach it"); };
  latest.want("d");
  for (let turn = 0; turn < 3; turn++) await settled();
  assert.deepEqual([latest.value, latest.problem?.message], ["answer to c", "Cannot reach it"]);
  answer = (path) => `answer to ${path}`;
  mock.timers.tick(2_000);
  for (let turn = 0; turn < 3; turn++) await settled();
  assert.deepEqual([latest.answerTo("d"), latest.problem], ["answer to d", undefined]);
  answer = () => { throw new ApiError(404, "Cannot go back"); };
  latest.want("e");
  for (let turn = 0; turn < 3; turn++) await settled();
  mock.timers.tick(10_000);
  await settled();
  assert.equal(latest.problem?.status, 404);
  latest.want("f");
  assert.equal(latest.problem, undefined, "that is not known yet");
  assert.equal(asked.filter((path) => path === "e").length, 1);
});

test("LogFacts reads pages where somebody looks, keeps few, and the last one grows", async () => {
  let last = 100_000;
  const asked: string[] = [];
  const facts = new LogFacts(async (path) => {
    asked.push(path);
    if (path === "history") return { first: 50, last };
    const query = new URLSearchParams(path.slice(path.indexOf("?")));
    const [from, limit] = [Number(query.get("from")), Number(query.get("limit"))];
    const found = Array.from({ length: limit }, (_, at) => fact(from + at));
    return { facts: found.filter(({ seq }) => seq <= last), next: null };
  }, () => undefined);
  await settled();
  assert.deepEqual([facts.count, facts.seqOf(1), facts.placeOf(51)], [99_950, 51, 1]);
  assert.deepEqual([facts.placeOf(3), facts.placeOf(1e9), facts.seqOf(99_950)], [1, 99_950, last]);
  assert.equal(facts.fact(1), undefined);
  facts.fact(2);
  await settled();
  assert.equal(facts.fact(1)!.seq, 51);
  assert.deepEqual(asked.slice(1), ["history/facts?from=51&limit=149"]);
  for (let place = 1; place < 99_950; place += 1_000) {
    facts.fact(place);
    await settled();
    mock.timers.tick(1_000);
  }
  assert.equal(facts.fact(1), undefined, "it is forgotten, and read again");
  await settled();
  assert.equal(facts.fact(1)!.seq, 51);
  for (let place = 5_000; place < 99_000; place += 1_000) {
    facts.fact(place);
    await settled();
    assert.equal(facts.fact(1)!.seq, 51, "it is looked at again and again");
  }
  facts.fact(99_950);
  await settled();
  last += 1;
  facts.grow(last);
  mock.timers.tick(1_000);
  assert.equal(facts.fact(99_951), undefined);
  await settled();
  assert.equal(facts.fact(99_951)!.seq, last);
});
