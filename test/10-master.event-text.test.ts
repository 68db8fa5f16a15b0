/** Events in words: eventText(), and what the numbers in events mean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Event, eventDetail, eventText, Names } from "#core";

const spec = (ids: string[]) => ({ name: "p", jobs: ids.map((id) => ({ id })) }) as never;
const text = (events: Event[], names = new Names()): string[] =>
  events.map((event) => eventText(event, names));

test("eventText() names runs, jobs and workers that an earlier event has introduced", () => {
  assert.deepEqual(
    text([
      { type: "RunSubmitted", run: 1, id: "p-aaaa", key: undefined, at: 1, spec: spec(["a", "b"]) },
      {
        type: "WorkerJoined",
        worker: 4,
        instance: "i",
        name: "w1",
        tags: [],
        slots: 1,
        at: 2,
        version: "",
      knows: [],
      },
      { type: "JobStarted", run: 1, job: 1, attempt: 2, worker: 4, at: 3 },
      { type: "JobsCancelled", run: 1, at: 4, jobs: [0, 1], whole: false },
    ]),
    [
      "RunSubmitted p-aaaa with 2 jobs",
      "WorkerJoined w1 (number 4), 1 slot",
      "JobStarted p-aaaa/b#2 on w1 (number 4)",
      "JobsCancelled p-aaaa: p-aaaa/a, p-aaaa/b",
    ],
  );
});

test("eventText() keeps to numbers where the log begins too late to know names", () => {
  assert.deepEqual(
    text([
      { type: "JobStarted", run: 7, job: 3, attempt: 1, worker: 2, at: 1 },
      { type: "TimePassed", at: 2 },
    ]),
    ["JobStarted run 7/3#1 on worker 2", "TimePassed"],
  );
});

test("eventText() stays a line for an event about a hundred thousand jobs", () => {
  const jobs = Array.from({ length: 100_000 }, (_, n) => n);
  assert.match(
    text([{ type: "RunRetried", run: 1, at: 1, jobs }])[0]!,
    /^RunRetried run 1: run 1\/0, .{0,100} and 99992 more$/,
  );
});

test("Names forgets runs with the master, and workers long after they were lost", () => {
  const names = new Names();
  text(
    [{ type: "RunSubmitted", run: 1, id: "p-aaaa", key: undefined, at: 1, spec: spec(["a"]) }],
    names,
  );
  assert.deepEqual(text([{ type: "RunsForgotten", runs: [1], at: 2 }], names), [
    "RunsForgotten p-aaaa",
  ]);
  assert.equal(names.run(1), "run 1");
  for (let worker = 1; worker <= 1500; worker++) {
    names.learn({
      type: "WorkerJoined",
      worker,
      instance: "i",
      name: `w${worker}`,
      tags: [],
      slots: 1,
      at: 1,
      version: "",
      knows: [],
    });
    names.learn({ type: "WorkerLost", worker, reason: "gone", at: 2 });
  }
  assert.deepEqual([names.workerName(400), names.workerName(1400)], [undefined, "w1400"]);
});

test("eventDetail() is what others said: a failure's message, a comment, a result's size", () => {
  const failure = {
    kind: "exit" as const,
    message: "exited with code 3",
    exitCode: 3,
    signal: undefined,
  };
  assert.deepEqual(
    [
      eventDetail({
        type: "JobFailed",
        run: 1,
        job: 1,
        attempt: 1,
        at: 1,
        failure,
        retryAt: undefined,
        dead: false,
      }),
      eventDetail({
        type: "GateDecided",
        run: 1,
        job: 1,
        approve: true,
        by: "x",
        comment: "fine",
        at: 1,
      }),
      eventDetail({
        type: "JobSucceeded",
        run: 1,
        job: 1,
        attempt: 1,
        at: 1,
        result: Buffer.alloc(9),
      }),
      eventDetail({ type: "TimePassed", at: 1 }),
    ],
    ["exited with code 3", "fine", "result of 9 bytes", ""],
  );
});
