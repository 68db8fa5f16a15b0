/** The event stream: everything once, in order, also after a cut; and what a slow reader gets. */
import assert from "node:assert/strict";
import { connect as dial, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { MAX_STREAMS } from "../src/http/options.ts";
import { pipeline, spec } from "./10-master.support.ts";
import { scene, Stream, type Scene } from "./http.events.support.ts";
import "./leaks.support.ts";

let world: Scene;
before(async () => {
  world = await scene();
});
after(() => world.end());

const submit = async (...ids: string[]): Promise<string> =>
  (await world.titan.submitSpec(pipeline(ids.map((id) => spec(id))))).run;
const seqs = (facts: any[]): number[] => facts.map(({ seq }) => seq);
const last = async (): Promise<number> => (await world.titan.info()).nextSeq - 1;

test("a stream greets, shows everything, then facts and the rows they changed", async () => {
  const old = await submit("a");
  const stream = new Stream(world.port);
  await stream.until(() => stream.messages.length === 2);
  const [hello, snapshot] = stream.messages;
  assert.equal(stream.headers["content-type"], "text/event-stream; charset=utf-8");
  assert.deepEqual([hello!.event, hello!.id, hello!.data.version], ["hello", undefined, "1.2.3"]);
  assert.deepEqual([snapshot!.event, snapshot!.id], ["snapshot", await last()]);
  assert.deepEqual(snapshot!.data.runs.map((run: any) => run.id), [old]);
  const run = await submit("a", "b");
  await world.titan.cancel(run);
  await stream.until(() => stream.of("fact").length === 2);
  assert.deepEqual(stream.of("fact").map(({ type, run: of }) => [type, of]),
    [["RunSubmitted", run], ["JobsCancelled", run]]);
  const rows = stream.of("rows").flatMap((each) => each.runs);
  assert.deepEqual([rows.at(-1).id, rows.at(-1).status], [run, "CANCELLED"]);
  assert.equal(stream.lastId, `${await last()}`);
  for (const path of ["runs", `runs/${run}`]) {
    const found = await fetch(`${world.door.url}/api/v1/${path}`, {
      headers: { connection: "close" },
    });
    assert.equal(found.headers.get("x-titan-seq"), stream.lastId);
    await found.text();
  }
  stream.close();
});

test("a followed run comes with its jobs, and each of them when it changes", async () => {
  const [run, other] = [await submit("a", "b"), await submit("x")];
  const stream = new Stream(world.port, `?run=${run}&run=none`);
  await stream.until(() => stream.lastId !== undefined);
  const whole = stream.of("snapshot").find((each) => each.run !== undefined);
  assert.equal(whole.run.id, run);
  assert.deepEqual(whole.jobs.map((job: any) => [job.id, job.status]),
    [["a", "PENDING"], ["b", "PENDING"]]);
  assert.deepEqual(stream.of("rows").flatMap(({ gone = [] }) => gone), ["none"]);
  assert.deepEqual(stream.of("fact"), [], "what was before is in the rows");
  stream.messages.length = 0;
  await world.titan.cancel(run, "b");
  await world.titan.cancel(other);
  // The door may hear of the last submission only now: it has a connection of its own.
  await stream.until(() =>
    stream.of("fact").filter(({ type }) => type === "JobsCancelled").length === 2);
  const jobs = stream.of("rows").flatMap((rows) => rows.jobs ?? []);
  assert.deepEqual(jobs.map((job) => [job.run, job.id, job.status]), [[run, "b", "CANCELLED"]]);
  stream.close();
});

test("cut and restored: the facts of the gap once each, and equal state", async () => {
  const run = await submit("a", "b");
  const whole = new Stream(world.port, `?run=${run}`);
  const cut = new Stream(world.port, `?run=${run}`);
  for (const stream of [cut, whole]) await stream.until(() => stream.lastId !== undefined);
  whole.messages.length = 0;
  cut.close();
  for (let n = 0; n < 3; n++) {
    await world.titan.cancel(run);
    await world.titan.retry(run);
  }
  const others = await submit("y");
  await whole.until(() => whole.of("fact").length === 7);
  const again = new Stream(world.port, `?run=${run}`, { "last-event-id": cut.lastId! });
  await again.until(() => again.of("fact").length === 7);
  assert.deepEqual(again.of("fact"), whole.of("fact"));
  assert.deepEqual(again.of("snapshot"), []);
  const rowsOf = (stream: Stream): unknown => {
    const seen = new Map<string, unknown>();
    for (const { runs = [], jobs = [] } of stream.of("rows")) {
      for (const row of runs) seen.set(row.id, row);
      for (const row of jobs) seen.set(`${row.run}/${row.id}`, row);
    }
    return [...seen].sort();
  };
  assert.deepEqual(rowsOf(again), rowsOf(whole));
  assert.ok(JSON.stringify(rowsOf(again)).includes(others));
  // A cut at any message: nothing is told twice, nothing is left out.
  const facts = seqs(whole.of("fact"));
  for (const id of facts) {
    const from = new Stream(world.port, `?run=${run}&lastEventId=${id}`);
    await from.until(() => from.of("fact").length === facts.filter((seq) => seq > id).length);
    assert.deepEqual(seqs(from.of("fact")), facts.filter((seq) => seq > id));
    from.close();
  }
  for (const stream of [whole, again]) stream.close();
});

test("asked for once, a stream ends when all has been told, and later goes on", async () => {
  const run = await submit("a");
  const live = new Stream(world.port);
  const first = new Stream(world.port, `?once=1&run=${run}`);
  await first.until(() => first.ended);
  assert.deepEqual([first.of("snapshot").length, first.lastId], [2, `${await last()}`]);
  const idle = new Stream(world.port, "?once=1", { "last-event-id": first.lastId! });
  await idle.until(() => idle.ended);
  assert.deepEqual(idle.messages.map(({ event }) => event), ["hello"]);
  await world.titan.cancel(run);
  await live.until(() => live.of("fact").length === 1);
  const next = new Stream(world.port, `?once=1&run=${run}`, { "last-event-id": first.lastId! });
  await next.until(() => next.ended);
  assert.deepEqual(next.of("fact"), live.of("fact"));
  assert.deepEqual(next.of("rows").flatMap(({ jobs }) => jobs.map((job: any) => job.status)),
    ["CANCELLED"]);
  live.close();
});

test("a master that starts anew: its readers stay, and miss nothing", async () => {
  const stream = new Stream(world.port);
  await stream.until(() => stream.lastId !== undefined);
  const before = await last();
  await submit("a");
  await world.restart();
  await submit("b");
  await stream.until(() => stream.of("fact").length === 2);
  assert.deepEqual(seqs(stream.of("fact")), [before + 1, before + 2]);
  assert.equal(stream.of("snapshot").length, 1);
  stream.close();
});

test("streams are behind the guard: foreign pages, unknown names, no token", async () => {
  const guarded = await scene({ token: "s3cret" });
  const statusOf = async (headers: Record<string, string>): Promise<number> => {
    const stream = new Stream(guarded.port, "", headers);
    await stream.until(() => stream.status !== 0);
    stream.close();
    return stream.status;
  };
  const own = { authorization: "Bearer s3cret" };
  assert.equal(await statusOf(own), 200);
  assert.equal(await statusOf({ ...own, origin: `http://127.0.0.1:${guarded.port}` }), 200);
  for (const origin of ["http://evil.test", "null", `http://127.0.0.1:${guarded.port + 1}`]) {
    assert.equal(await statusOf({ ...own, origin }), 403, origin);
  }
  // The name of a foreign page that leads to this machine by now.
  assert.equal(await statusOf({ ...own, host: `evil.test:${guarded.port}` }), 403);
  assert.equal(await statusOf({}), 401);
  await guarded.end();
});

test("what cannot be followed is refused in words; an id that is none is no id", async () => {
  const runs = Array.from({ length: 60 }, (_, n) => `run=r${n}`);
  const many = new Stream(world.port, `?${runs.join("&")}`);
  await many.until(() => many.status !== 0);
  assert.equal(many.status, 400);
  many.close();
  const odd = new Stream(world.port, "?lastEventId=-1", { "last-event-id": "<b>" });
  await odd.until(() => odd.lastId !== undefined);
  assert.equal(odd.of("snapshot").length, 1);
  odd.close();
});

test("two thousand idle streams cost little, and one more is refused", async (t) => {
  const head = `GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1:${world.port}\r\n\r\n`;
  const before = process.memoryUsage.rss();
  const open = (): Promise<Socket> => new Promise((resolve, reject) => {
    const socket = dial(world.port, "127.0.0.1", () => socket.write(head));
    socket.once("data", () => resolve(socket)).once("error", reject);
  });
  const sockets: Socket[] = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  while (sockets.length < MAX_STREAMS) {
    sockets.push(...await Promise.all(Array.from({ length: 250 }, open)));
  }
  const refused = new Stream(world.port);
  await refused.until(() => refused.status !== 0);
  assert.equal(refused.status, 503);
  refused.close();
  const each = (process.memoryUsage.rss() - before) / MAX_STREAMS;
  assert.ok(each < 150_000, `${Math.round(each)} bytes each, both ends together`);
  const from = process.cpuUsage();
  await world.titan.info();
  const { user, system } = process.cpuUsage(from);
  assert.ok(user + system < 1e6, `${(user + system) / 1000} ms of a processor`);
  const told = new Promise((resolve) => sockets.at(-1)!.once("data", resolve));
  await submit("a");
  await told;
});
