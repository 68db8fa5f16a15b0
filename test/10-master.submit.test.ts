/**
 * Submissions and the blobs that they name, in every order in which a disk can answer two clients.
 *
 * A disk that answers when it is told to: each question about a name waits, and the test goes
 * through all orders of answers. After each one the project of every run has to be there.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  apply, decide, jobMemory, jobsMemory, runMemory, State, type Command, type CommandOf,
  type Replies,
} from "#core";
import type { Host, StoredFile } from "#host";
import type { IncomingRequest } from "#rpc";
import {
  BlobPut, Op, PipelineSpec, SealedPipeline, Submit, Submitted, type JobSpec,
} from "#wire";
import { BlobStore } from "../src/master/blobs.ts";
import { Uploads } from "../src/master/uploads.ts";
import { textMemory } from "../src/master/core/memory.ts";
import { takeJobs } from "../src/master/intake.ts";
import { submit } from "../src/master/submit.ts";
import { Turns } from "../src/master/turns.ts";
import { hello, pipeline, refusal, report, Room, spec } from "./10-master.support.ts";

const MIB = 1024 * 1024;
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const PROJECT = Buffer.from("a packed project");
const P = hashOf(PROJECT);
const BARE = PipelineSpec.encode(pipeline([spec("a")]));
const WITH_PROJECT = PipelineSpec.encode({ ...pipeline([spec("a")]), project: P });

/** Files by name. What asks for a name or changes one waits for its turn; bytes come at once. */
class SlowDisk {
  readonly files = new Map<string, Buffer>();
  readonly waiting: (() => void)[] = [];
  #now = 0;
  #drawn = 0;

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  pass(ms: number): void {
    this.#now += ms;
  }

  get host(): Host {
    const storage: Partial<Host["storage"]> = {
      mkdir: async () => undefined,
      syncDirectory: async () => undefined,
      list: async () => [...this.files.keys()].map((path) => path.slice(2)).sort(),
      open: (path, options = {}) => this.#open(path, options.create ?? false),
      stat: async (path) => {
        await this.#turn();
        const size = this.files.get(path)?.length;
        return size === undefined ? undefined : { kind: "file", size, mode: 0o600 };
      },
      rename: async (from, to) => {
        await this.#turn();
        this.files.set(to, this.files.get(from)!);
        this.files.delete(from);
      },
      remove: async (path) => {
        await this.#turn();
        this.files.delete(path);
      },
    };
    const clock = { monotonic: () => this.#now, wall: () => this.#now };
    const random = { bytes: (count: number) => Buffer.alloc(count, ++this.#drawn) };
    const timers = { soon: queueMicrotask };
    return { clock, random, storage, timers } as unknown as Host;
  }

  async #open(path: string, create: boolean): Promise<StoredFile> {
    if (create) this.files.set(path, Buffer.alloc(0));
    else await this.#turn();
    const bytes = this.files.get(path);
    if (bytes === undefined) throw Object.assign(new Error(`ENOENT ${path}`), { code: "ENOENT" });
    return {
      size: bytes.length,
      append: async (parts: readonly Uint8Array[]) => {
        this.files.set(path, Buffer.concat([this.files.get(path)!, ...parts]));
      },
      read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
      sync: async () => undefined,
      close: async () => undefined,
    } as unknown as StoredFile;
  }
}

/** A master without sockets and without a log. */
class Desk {
  readonly disk = new SlowDisk();
  readonly blobs = new BlobStore(this.disk.host, "b");
  readonly state = new State();
  readonly arriving = { bytes: 0 };
  /** More at once than in a real one. */
  readonly specs = new Turns({ host: this.disk.host, atOnce: 9, perPeer: 9, msPerTurn: 9 });
  readonly engine = {
    state: this.state,
    context: { now: 1, random: () => Math.random() },
    commit: <T extends Command["type"]>(command: CommandOf<T>): Replies[T] => {
      const { events, reply } = decide(this.state, command, this.engine.context);
      for (const event of events) apply(this.state, event);
      return reply;
    },
    confirm: (_asker: unknown, answer: () => void) => answer(),
  };
  readonly failures: string[] = [];

  async put(uploads: Uploads, data: Buffer): Promise<void> {
    await uploads.put({ hash: hashOf(data), total: data.length, offset: 0, data });
  }

  /** Resolves with the run, or with what it was refused for. */
  async submit(
    uploads: Uploads,
    fields: Partial<Parameters<typeof Submit.encode>[0]>,
  ): Promise<string> {
    const body = Submit.encode({
      spec: undefined,
      specBlob: undefined,
      key: undefined,
      strict: false,
      ...fields,
    });
    let answer = "";
    const request = {
      body,
      reply: (bytes: Buffer) => {
        answer = Submitted.decode(bytes).run;
      },
    };
    try {
      await submit(this, {
        request: request as unknown as IncomingRequest,
        uploads,
        peer: uploads,
      });
    } catch (error) {
      answer = String(error);
    }
    return answer;
  }

  /** As a client does it: its project if nobody has it, its pipeline as a blob, and leaves. */
  async person(encoded: Buffer): Promise<void> {
    const uploads = new Uploads(this.blobs);
    if (encoded === WITH_PROJECT && !(await this.blobs.has(P))) await this.put(uploads, PROJECT);
    await this.put(uploads, encoded);
    const answer = await this.submit(uploads, { specBlob: hashOf(encoded) });
    if (!answer.startsWith("test-")) this.failures.push(answer);
    await uploads.close();
  }

  /** Names a blob of somebody else's that is no pipeline. */
  async stranger(): Promise<void> {
    const uploads = new Uploads(this.blobs);
    const answer = await this.submit(uploads, { specBlob: P });
    if (answer.startsWith("test-")) this.failures.push("took a project for a pipeline");
    await uploads.close();
  }

  /** As the master does it with the oldest run. */
  forget(): void {
    const run = [...this.state.runs.values()][0];
    if (run === undefined) return;
    this.state.runs.delete(run.number);
    if (run.spec.project !== undefined) this.blobs.release(run.spec.project);
  }

  check(): void {
    const needed = [...this.state.runs.values()].some((run) => run.spec.project === P);
    assert.ok(!needed || this.disk.files.has(`b/${P}`), "a run needs its project");
  }
}

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * One order: answers the `path[n]`-th of those that wait as the n-th. Returns how many waited each
 * time.
 */
async function inOrder(
  path: readonly number[],
  scenario: (desk: Desk) => Promise<void>[],
): Promise<number[]> {
  const desk = new Desk();
  const widths: number[] = [];
  let open = true;
  const ended = Promise.all(scenario(desk)).then(() => (open = false));
  for (await turnOfTheLoop(); desk.disk.waiting.length > 0; await turnOfTheLoop()) {
    const [next] = desk.disk.waiting.splice(path[widths.length] ?? 0, 1);
    widths.push(desk.disk.waiting.length + 1);
    next!();
    desk.check();
  }
  assert.equal(open, false, "somebody waits for ever");
  await ended;
  assert.deepEqual(desk.failures, []);
  await tenMinutesLater(desk);
  desk.check();
  await nothingLeft(desk);
  return widths;
}

/** When nobody has asked for anything lately. */
async function tenMinutesLater(desk: Desk): Promise<void> {
  desk.disk.pass(11 * 60_000);
  void desk.blobs.has("0".repeat(64));
  for (await turnOfTheLoop(); desk.disk.waiting.length > 0; await turnOfTheLoop()) {
    desk.disk.waiting.shift()!();
  }
}

/** All runs forgotten: no count and no file. */
async function nothingLeft(desk: Desk): Promise<void> {
  while (desk.state.runs.size > 0) desk.forget();
  await tenMinutesLater(desk);
  assert.deepEqual(
    [desk.blobs.held, desk.blobs.leftovers, [...desk.disk.files.keys()]],
    [0, 0, []],
  );
}

/** Every order there is, depth first: the last choice that has an alternative takes it. */
async function everyOrder(scenario: (desk: Desk) => Promise<void>[]): Promise<number> {
  let orders = 0;
  for (let path: number[] | undefined = []; path !== undefined; orders += 1) {
    const widths: number[] = await inOrder(path, scenario).catch((error: Error) => {
      throw new Error(`in the order ${path!.join(" ")}: ${error.message}`, { cause: error });
    });
    const taken: number[] = widths.map((_, index) => path![index] ?? 0);
    let last = taken.length - 1;
    while (last >= 0 && taken[last]! + 1 === widths[last]) last -= 1;
    path = last < 0 ? undefined : [...taken.slice(0, last), taken[last]! + 1];
  }
  return orders;
}

test("two people who submit the same large pipeline at once both get a run, " +
  "in every order", async () => {
  const orders = await everyOrder((desk) => [desk.person(BARE), desk.person(BARE)]);
  assert.ok(orders >= 70, `${orders} orders`);
});

test("a project that a run needs stays, whoever names it, is refused or asks for it meanwhile, " +
  "in every order", async () => {
  const orders = await everyOrder((desk) => [desk.person(WITH_PROJECT), desk.stranger()]);
  assert.ok(orders >= 30, `${orders} orders`);
});

test("a project is kept for a run that begins while the last one that needed it is forgotten, in " +
  "every order", async () => {
  const orders = await everyOrder((desk) => {
    const uploads = new Uploads(desk.blobs);
    const first = desk.put(uploads, PROJECT)
      .then(() => desk.submit(uploads, { spec: PipelineSpec.decode(WITH_PROJECT) }))
      .then(() => uploads.close());
    const second = async (): Promise<void> => {
      const own = new Uploads(desk.blobs);
      if (!(await desk.blobs.has(P))) await desk.put(own, PROJECT);
      const answer = await desk.submit(own, { spec: PipelineSpec.decode(WITH_PROJECT) });
      if (!answer.startsWith("test-")) desk.failures.push(answer);
    };
    return [first.then(() => desk.forget()), second(), desk.stranger()];
  });
  assert.ok(orders >= 100, `${orders} orders`);
});

/** Lets the disk answer in order until `done` settles. */
async function served<T>(desk: Desk, done: Promise<T>): Promise<T> {
  let open = true;
  void done.finally(() => (open = false));
  for (; open; await turnOfTheLoop()) desk.disk.waiting.shift()?.();
  return done;
}

test("a key that is known, and a blob that was uploaded as often as it was used, leave no hold " +
  "behind", async () => {
  const desk = new Desk();
  const uploads = new Uploads(desk.blobs);
  const large = async (): Promise<string> => {
    await desk.put(uploads, WITH_PROJECT);
    return desk.submit(uploads, { specBlob: hashOf(WITH_PROJECT), key: "k" });
  };
  await served(desk, desk.put(uploads, PROJECT));
  await served(desk, desk.put(uploads, WITH_PROJECT));
  const first = await served(desk, large());
  assert.equal(
    await served(desk, desk.submit(uploads, { specBlob: hashOf(WITH_PROJECT), key: "k" })),
    first,
  );
  assert.deepEqual([desk.state.runs.size, desk.blobs.held], [1, 1]);
  await uploads.close();
  await nothingLeft(desk);
});

test(
  "one client that submits a large pipeline several times at once gets a run for each, and " +
    "nothing is left",
  () =>
    Room.run(async (room) => {
      const master = await room.start();
      const client = await room.client();
      const script = "x".repeat(1024 * 1024);
      const large = pipeline(
        ["a", "b", "c", "d", "e"].map((id) => spec(id, { action: { type: "shell", script } })),
      );
      const all = await Promise.all([large, large, large].map((one) => client.submitSpec(one)));
      assert.equal(new Set(all.map(({ run }) => run)).size, 3);
      const keyed = await Promise.all(
        [large, large].map((one) => client.submitSpec(one, { key: "k" })),
      );
      assert.equal(keyed[0]!.run, keyed[1]!.run);
      await room.until(() => master.counts().leftovers === 0);
      assert.deepEqual(await room.world.host("m").storage.list("/state/blobs"), []);
    }),
);

test("a run that is forgotten takes its output and its project with it, and no sooner", () =>
  Room.run(async (room) => {
    await room.start({ heapBytes: 64.25 * MIB }); // runs that have ended: 32 KiB
    const client = await room.client();
    const worker = await room.worker("w");
    const owner = await room.raw({ name: "owner" });
    await owner.request(Op.HELLO, hello());
    const upload = { hash: P, total: PROJECT.length, offset: 0, data: PROJECT };
    await owner.request(Op.BLOB_PUT, BlobPut.encode(upload));
    const { storage } = room.world.host("m");
    const left = async (): Promise<string[]> =>
      [...(await storage.list("/state/blobs")), ...(await storage.list("/state/output"))].sort();
    for (const [n, project] of [P, undefined].entries()) {
      const asked = { ...pipeline([spec("a")]), project };
      const submission = { spec: asked, specBlob: undefined, key: undefined, strict: false };
      await owner.request(Op.SUBMIT, Submit.encode(submission));
      await room.until(() => worker.assigned.length === n + 1);
      const attempt = worker.assigned[n]!;
      await worker.print(attempt, "hello");
      assert.deepEqual(await left(), n === 0 ? ["1", P].sort() : ["1", "2", P].sort());
      // A project that somebody asked for is kept for ten minutes.
      if (n === 1) await room.sleep(11 * 60_000);
      await worker.finish(report(attempt, { result: Buffer.alloc(60 * 1024) }));
    }
    owner.close();
    assert.equal((await client.runs()).length, 1);
    await room.sleep(1000); // files go in the background
    assert.deepEqual(await left(), ["2"]);
  }));

test("pipelines that wait for a look at the disk are bounded together in bytes, and nothing is " +
  "left of those refused", async () => {
  const desk = new Desk();
  const uploads = new Uploads(desk.blobs);
  Object.assign(desk.engine.context, {
    memory: { open: 1e9, finished: 1e9, total: 1e9, ceiling: 1e9 + 5000 },
  });
  const one = PipelineSpec.decode(WITH_PROJECT);
  const asked = [1, 2, 3, 4, 5, 6].map(() => desk.submit(uploads, { spec: one }));
  assert.ok(
    desk.arriving.bytes > 4000 && desk.arriving.bytes <= 5000,
    `${desk.arriving.bytes} bytes wait`,
  );
  for (await turnOfTheLoop(); desk.disk.waiting.length > 0; await turnOfTheLoop()) {
    desk.disk.waiting.shift()!();
  }
  const answers = await Promise.all(asked);
  assert.equal(
    answers.filter((answer) => answer.includes("those that wait to be looked at take")).length,
    2,
  );
  assert.equal(desk.arriving.bytes, 0);
  assert.match(await desk.submit(uploads, { spec: { ...one, project: "no hash" } }), /no hash/);
  assert.equal(desk.arriving.bytes, 0, "a project that cannot be named holds nothing");
});

// ── what is too heavy ────────────────────────────────────────────────────────────────────────────

const shell: JobSpec["action"] = { type: "shell", script: "é".repeat(99), shell: undefined };
const THREE = pipeline([spec("a"), spec("b", { action: shell }), spec("c")]);
const THREE_BYTES = runMemory(undefined, THREE) + jobsMemory(THREE.jobs);

/** A desk whose open runs may hold so many bytes. */
function deskWith(open: number): { desk: Desk; uploads: Uploads } {
  const desk = new Desk();
  const memory = { open, finished: open, total: 2 * open, ceiling: 3 * open };
  Object.assign(desk.engine.context, { memory });
  return { desk, uploads: new Uploads(desk.blobs) };
}

test("takeJobs() keeps jobs up to the room, none beyond it, and weighs all of them", () => {
  const encoded = SealedPipeline.decode(PipelineSpec.encode(THREE)).jobs!;
  const bytes = jobsMemory(THREE.jobs);
  const { jobs } = PipelineSpec.decode(PipelineSpec.encode(THREE));
  assert.deepEqual(takeJobs(encoded, bytes), { jobs, bytes, isTooHeavy: false });
  for (const room of [bytes - 1, jobMemory(THREE.jobs[0]!), 0, -1]) {
    const weighed = { jobs: [], bytes, isTooHeavy: true };
    assert.deepEqual(takeJobs(encoded, room), weighed, `${room} bytes of room`);
  }
  assert.deepEqual(takeJobs(undefined, 0), { jobs: [], bytes: 0, isTooHeavy: false });
  const error = { name: "CodecError", message: /^Cannot decode PipelineSpec.jobs: / };
  assert.throws(() => takeJobs(encoded.subarray(1), bytes), error);
});

for (const way of ["inside the request", "as a blob", "with a project"]) {
  const spec = way === "with a project" ? { ...THREE, project: P } : THREE;
  const ask = async (
    { desk, uploads }: ReturnType<typeof deskWith>, key?: string, asked = spec,
  ): Promise<string> => {
    if (way !== "as a blob") return served(desk, desk.submit(uploads, { spec: asked, key }));
    const encoded = PipelineSpec.encode(asked);
    await served(desk, desk.put(uploads, encoded));
    return served(desk, desk.submit(uploads, { specBlob: hashOf(encoded), key }));
  };

  test(`a pipeline ${way} is taken at the limit of memory, and refused below it`, async () => {
    const fits = deskWith(THREE_BYTES);
    await served(fits.desk, fits.desk.put(fits.uploads, PROJECT));
    assert.match(await ask(fits), /^test-/);
    const takes = `it takes ${THREE_BYTES} bytes of the master's memory`;
    const held = `${takes}, and the open runs hold ${THREE_BYTES} of`;
    assert.ok((await ask(fits)).includes(held));
    const short = deskWith(THREE_BYTES - 1);
    await served(short.desk, short.desk.put(short.uploads, PROJECT));
    const why = `${takes}, more than the ${THREE_BYTES - 1} for all open runs`;
    assert.ok((await ask(short)).includes(why));
    assert.deepEqual([short.desk.state.runs.size, short.desk.arriving.bytes], [0, 0]);
    // The same while the jobs alone fit, and while none of them does.
    for (const open of [jobsMemory(THREE.jobs) - 1, 1]) {
      const none = deskWith(open);
      assert.ok((await ask(none)).includes(`${takes}, more than the ${open} for`));
      assert.equal(none.desk.arriving.bytes, 0, "it is refused without a look at the disk");
    }
  });

  test(`a pipeline ${way} with a known key finds its run when there is no room`, async () => {
    const room = deskWith(THREE_BYTES + textMemory("k"));
    await served(room.desk, room.desk.put(room.uploads, PROJECT));
    const first = await ask(room, "k");
    assert.match(first, /^test-/);
    assert.equal(await ask(room, "k"), first);
    const heavier = { ...spec, jobs: [...spec.jobs, ...spec.jobs] };
    const other = /key "k" belongs to run test-.*, which is of another pipeline/;
    assert.match(await ask(room, "k", heavier), other);
    assert.equal(room.desk.state.runs.size, 1);
  });
}

test("jobs that are added are weighed while they are decoded, too", () =>
  Room.run(async (room) => {
    await room.start({ heapBytes: 66 * MIB }); // open runs: 1 MiB
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("first")]));
    const many = (count: number) => Array.from({ length: count }, (_, i) => spec(`j${i}`));
    const bytes = jobsMemory(many(1000));
    const takes = `Cannot add jobs to ${run}: it takes ${bytes} bytes of the master's memory`;
    const tooMany = refusal("INVALID", new RegExp(`${takes}, more than the ${MIB} for`));
    await assert.rejects(client.addJobs(run, many(1000)), tooMany);
    assert.equal(await client.addJobs(run, many(500)), 500);
    const again = refusal("OVERLOADED", /and the open runs hold \d+ of/);
    await assert.rejects(client.addJobs(run, many(500)), again);
    assert.equal((await client.status(run)).jobs.length, 501);
  }));
