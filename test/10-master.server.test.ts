/** The master as a process: who is let in, and what peers may send. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encodeFrame } from "#framing";
import { nodeHost, seededRandom } from "#host";
import { MasterError, startMaster } from "#master";
import { RpcConnection } from "#rpc";
import { connect } from "#sdk";
import {
  Dispatch, Empty, Finished, HELLO_TIMEOUT_MS, Op, RunRef, Submit, type JobChange,
} from "#wire";
import { startWorker } from "#worker";
import { tokenOf } from "../src/cli/address.ts";
import type { Call } from "../src/cli/command.ts";
import {
  diskFull,
  fileWith,
  hello,
  MASTER,
  pipeline,
  refusal,
  report,
  Room,
  spec,
  withFiles,
} from "./10-master.support.ts";
import "./leaks.support.ts";

const masterError = (code: MasterError["code"], message: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof MasterError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

// ── starting ─────────────────────────────────────────────────────────────────────────────────────

test("startMaster() refuses an address that others reach, unless there is a token", () =>
  Room.run(async (room) => {
    for (const host of ["0.0.0.0", "192.168.1.7", "::", "m", "127.0.0.1.example.org"]) {
      await assert.rejects(
        room.start({ listen: { host, port: 1 } }),
        masterError("UNSAFE_ADDRESS", /TITAN_TOKEN/),
      );
    }
    for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) {
      await (await room.start({ listen: { host, port: 2 } })).stop();
    }
    await (await room.start({ listen: { host: "0.0.0.0", port: 1 }, token: "t" })).stop();
  }));

test("a token of blanks is refused by the master, by workers, by clients " +
  "and on the command line", () =>
  Room.run(async (room) => {
    for (const token of ["", " ", "\t \n"]) {
      await assert.rejects(
        room.start({ token }),
        masterError("START_FAILED", /the token is blank/),
      );
    }
    await room.start({ token: "t" });
    await assert.rejects(room.client("  "), /Cannot connect: the token is blank/);
    const options = {
      host: room.world.host("w"),
      master: MASTER,
      token: " ",
      slots: 1,
      executor: undefined as never,
    };
    assert.throws(() => startWorker(options as never), /Cannot start a worker: the token is blank/);
    const call = (token: string | undefined, setting?: string) =>
      ({
        text: () => token,
        command: { name: "up" },
        context: { setting: () => setting },
      }) as unknown as Call;
    const blank = { name: "UsageError", message: "Cannot run titan up: the token is blank" };
    for (const given of [call(" "), call(undefined, " ")]) {
      assert.throws(() => tokenOf(given), blank);
    }
    assert.deepEqual([tokenOf(call("t ")), tokenOf(call(undefined))], ["t ", undefined]);
  }));

test("startMaster() says that a port is in use, and leaves the folder free", () =>
  Room.run(async (room) => {
    const first = await room.start();
    const other = { dir: "/other", listen: MASTER, token: "t" };
    await assert.rejects(room.start(other), masterError("ADDRESS_IN_USE", /m:9090.*in use/));
    await first.stop();
    await (await room.start({ ...other, listen: { host: "m", port: 9091 } })).stop();
  }));

test("startMaster() refuses a folder that another master has, and does that one no harm", () =>
  Room.run(async (room) => {
    const first = await room.start();
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await assert.rejects(
      room.start({ listen: { host: "127.0.0.1", port: 9091 } }),
      masterError("LOCKED", /another one is using it/),
    );
    assert.deepEqual((await client.runs()).map(({ id }) => id), [run]);
    await client.submitSpec(pipeline([spec("b")]));
    await first.stop();
    assert.equal((await room.start()).recovered.runs, 2);
  }));

test("stop() leaves nothing behind that acts later, and the next start finds everything", () =>
  Room.run(async (room) => {
    let master = await room.start();
    await room.worker("w");
    const client = await room.client();
    await client.submitSpec(pipeline([spec("a"), spec("later", { delayMs: 2000 })]));
    for (let again = 0; again < 2; again++) {
      const before = await (await room.client()).info({ hash: true });
      await master.stop();
      // leases, returns and delays of the stopped one would be over by now
      await room.sleep(60_000);
      master = await room.start();
      const after = await (await room.client()).info({ hash: true });
      // The new one has looked at the clock: the delay is over, which is one event, once.
      if (again > 0) assert.equal(after.stateHash, before.stateHash);
      assert.equal(after.nextSeq, before.nextSeq + (again === 0 ? 1 : 0));
      await (await room.client()).ping();
      await room.sleep(100);
    }
    assert.deepEqual(room.fatal, []);
  }));

// ── hello ────────────────────────────────────────────────────────────────────────────────────────

test("nothing is served before HELLO, and a second HELLO is a conflict", () =>
  Room.run(async (room) => {
    await room.start();
    const peer = await room.raw();
    for (const opcode of Object.values(Op)) {
      if (opcode !== Op.HELLO) {
        await assert.rejects(
          peer.request(opcode, Empty.encode({})),
          refusal("UNAUTHORIZED", /first one must be HELLO/),
        );
      }
    }
    await peer.request(Op.HELLO, hello());
    await peer.request(Op.PING, Empty.encode({}));
    await assert.rejects(peer.request(Op.HELLO, hello()), refusal("CONFLICT"));
    await assert.rejects(peer.request(200, Empty.encode({})), refusal("UNSUPPORTED", /opcode 200/));
  }));

test("HELLO refuses a wrong token, a missing one, and another protocol by name", () =>
  Room.run(async (room) => {
    await room.start({ token: "secret" });
    const peer = await room.raw();
    const refuses = (fields: Parameters<typeof hello>[0], code: string, message: RegExp) =>
      assert.rejects(peer.request(Op.HELLO, hello(fields)), refusal(code, message));
    await refuses({}, "UNAUTHORIZED", /wants a token/);
    for (const token of ["", "secre", "secret ", "Secret", "\0secret"]) {
      await refuses({ token }, "UNAUTHORIZED", /token is wrong/);
    }
    await refuses(
      { token: "secret", protocol: 3, version: "9.1" },
      "UNSUPPORTED",
      /client that speaks protocol 3 \(Titan 9\.1\): this master speaks 2/,
    );
    await refuses(
      { token: "secret", protocol: 1, role: "worker" },
      "UNSUPPORTED",
      /worker that speaks protocol 1/,
    );
    await peer.request(Op.HELLO, hello({ token: "secret" }));
    await assert.rejects(room.client("wrong"), refusal("UNAUTHORIZED"));
  }));

test(
  "HELLO refuses a worker with impossible slots, tags or no instance, and registers none of " +
    "them",
  () =>
    Room.run(async (room) => {
      await room.start();
      const peer = await room.raw();
      const worker = { role: "worker" as const, instance: "i", slots: 1 };
      for (const bad of [
        { slots: 0 },
        { slots: 4097 },
        { tags: ["GPU@1"] },
        { tags: [""] },
        { instance: "" },
      ]) {
        await assert.rejects(
          peer.request(Op.HELLO, hello({ ...worker, ...bad })),
          refusal("INVALID", /Cannot register worker/),
        );
      }
      assert.deepEqual(await (await room.client()).workers(), []);
    }),
);

test("a peer that does not introduce itself is dropped, one that does is not", () =>
  Room.run(async (room) => {
    await room.start({ token: "t" });
    const closed: string[] = [];
    const peers = await Promise.all(
      ["silent", "wrong", "known"].map((name) =>
        room.raw({ name, onClose: () => closed.push(name) }),
      ),
    );
    await assert.rejects(
      peers[1]!.request(Op.HELLO, hello({ token: "x" })),
      refusal("UNAUTHORIZED"),
    );
    await peers[2]!.request(Op.HELLO, hello({ token: "t" }));
    await room.sleep(HELLO_TIMEOUT_MS - 10);
    assert.deepEqual(closed, []);
    await room.sleep(20);
    assert.deepEqual(closed.sort(), ["silent", "wrong"]);
    await peers[2]!.request(Op.PING, Empty.encode({}));
  }));

// ── what peers may send ──────────────────────────────────────────────────────────────────────────

test("garbage, truncated frames and every flipped bit end at worst " +
  "the connection that sent them", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    await client.submitSpec(pipeline([spec("a")]));
    const { stateHash } = await client.info({ hash: true });
    const { random } = room.world.host("hostile");
    const submit = encodeFrame({
      opcode: Op.SUBMIT,
      requestId: 2,
      body: Submit.encode({
        spec: pipeline([spec("x")]),
        specBlob: undefined,
        key: "k",
        strict: false,
      }),
    });
    const streams: Uint8Array[] = [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.alloc(64),
      Buffer.alloc(64, 255),
    ];
    for (let i = 0; i < 50; i++) streams.push(random.bytes(1 + (random.u32() % 200)));
    for (let length = 0; length < submit.length; length++) streams.push(submit.subarray(0, length));
    for (let bit = 0; bit < submit.length * 8; bit++) {
      const flipped = Buffer.from(submit);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      streams.push(flipped);
    }
    const opening = encodeFrame({ opcode: Op.HELLO, requestId: 1, body: hello() });
    const { network } = room.world.host("hostile");
    await Promise.all(
      streams.map(async (bytes, i) => {
        const socket = await network.dial(MASTER);
        socket.handle({ onData: () => undefined, onClose: () => undefined });
        if (i % 2 === 0) socket.write(opening);
        socket.write(Buffer.from(bytes));
        await room.sleep(20);
        socket.destroy();
      }),
    );
    // A flip in the body of the frame is caught by its checksum, and a truncated frame never ends:
    // nothing was accepted.
    assert.equal((await client.info({ hash: true })).stateHash, stateHash);
    assert.deepEqual(room.fatal, []);
    await master.stop();
  }));

test(
  "valid frames with random bodies, to every opcode, are answered, and the log replays to the " +
    "same state",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const { run } = await client.submitSpec(pipeline([spec("a"), spec("b", { dependsOn: [0] })]));
      const seed = 4711;
      const random = seededRandom(seed);
      const honest = [
        Submit.encode({
          spec: pipeline([spec("x", { dependsOn: [] })]),
          specBlob: undefined,
          key: "k",
          strict: false,
        }),
        RunRef.encode({ run }),
        Finished.encode({ items: [report({ run: 1, job: 0, attempt: 1 })] }),
        Dispatch.encode({ items: [] }),
      ];
      let answered = 0;
      let refused = 0;
      const worker = await room.worker("w", { slots: 4 });
      for (const peer of [await room.raw(), worker.connection]) {
        if (peer !== worker.connection) await peer.request(Op.HELLO, hello());
        const asks: Promise<unknown>[] = [];
        for (let i = 0; i < 800; i++) {
          const opcode = Object.values(Op)[random.u32() % Object.values(Op).length]!;
          const body = Buffer.from(
            random.unit() < 0.4
              ? random.bytes(random.u32() % 40)
              : honest[random.u32() % honest.length]!,
          );
          if (body.length > 0 && random.unit() < 0.7) {
            body[random.u32() % body.length] = random.u32();
          }
          asks.push(
            peer
              .request(
                opcode,
                body.subarray(
                  0,
                  random.unit() < 0.3 ? random.u32() % (body.length + 1) : body.length,
                ),
                { deadlineMs: 5000 },
              )
              .then(
                () => {
                  answered += 1;
                },
                (error: { code: string; message: string }) => {
                  assert.notEqual(error.code, "INTERNAL", `seed ${seed}: ${error.message}`);
                  refused += 1;
                },
              ),
          );
          if (i % 20 === 0) await room.sleep(1);
        }
        await Promise.all(asks);
      }
      assert.ok(
        answered > 50 && refused > 300,
        `seed ${seed}: ${answered} answered, ${refused} refused`,
      );
      assert.deepEqual(room.fatal, [], `seed ${seed}`);
      const { stateHash } = await client.info({ hash: true });
      await room.restart();
      assert.equal(
        (await (await room.client()).info({ hash: true })).stateHash,
        stateHash,
        `seed ${seed}`,
      );
    }),
);

test("only a worker may report and print, and only about attempts that exist", () =>
  Room.run(async (room) => {
    await room.start();
    const peer = await room.raw();
    await peer.request(Op.HELLO, hello());
    await assert.rejects(
      peer.request(Op.FINISHED, Finished.encode({ items: [] })),
      refusal("CONFLICT"),
    );
    const worker = await room.worker("w");
    const client = await room.client();
    await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.assigned.length === 1);
    for (const strange of [
      { run: 1, job: 0, attempt: 2 },
      { run: 1, job: 7, attempt: 1 },
      { run: 9, job: 0, attempt: 1 },
    ]) {
      await worker.print(strange, "x");
      await worker.finish(report(strange));
    }
    await worker.print({ run: 1, job: 0, attempt: 1 }, "x");
    assert.deepEqual(await room.world.host("m").storage.list("/state/output"), ["1"]);
    assert.deepEqual(await room.world.host("m").storage.list("/state/output/1"), ["0.1"]);
  }));

// ── sizes ────────────────────────────────────────────────────────────────────────────────────────

test(
  "a pipeline too large for a frame travels as a blob, which is gone afterwards; its jobs " +
    "leave in frames that fit",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { slots: 20 });
      const script = "#".repeat(1_000_000);
      const jobs = Array.from({ length: 12 }, (_, i) =>
        spec(`j${i}`, { action: { type: "shell", script } }),
      );
      const { run } = await client.submitSpec(pipeline(jobs), { key: "big" });
      assert.deepEqual(await room.world.host("m").storage.list("/state/blobs"), []);
      await room.until(() => worker.assigned.length === 12);
      assert.deepEqual(worker.assigned[11]!.action, { type: "shell", script, shell: undefined });
      assert.deepEqual(await client.submitSpec(pipeline(jobs), { key: "big" }), {
        run,
        existing: true,
        forgotten: false,
        replaces: "",
        warnings: [],
      });
      await assert.rejects(
        client.submitSpec(
          pipeline([spec("a", { action: { type: "command", argv: [script, script, script] } })]),
        ),
        refusal("INVALID", /"a" has up to 30\d+ bytes.*more than 2097152/),
      );
    }),
);

test("a worker that never reads and then dies under a queue of dispatches " +
  "takes nobody with it", () =>
  Room.run(async (room) => {
    await room.start();
    const { network } = room.world.host("deaf");
    const socket = await network.dial(MASTER);
    socket.handle({ onData: () => undefined, onClose: () => undefined });
    socket.write(
      encodeFrame({
        opcode: Op.HELLO,
        requestId: 1,
        body: hello({ role: "worker", instance: "deaf", slots: 40 }),
      }),
    );
    socket.pause();
    const client = await room.client();
    await room.until(() => true);
    const script = "#".repeat(1_000_000);
    await client.submitSpec(
      pipeline(
        Array.from({ length: 30 }, (_, i) => spec(`j${i}`, { action: { type: "shell", script } })),
      ),
    );
    await room.sleep(100);
    socket.destroy();
    const worker = await room.worker("w", { slots: 40 });
    await room.until(() => worker.assigned.length === 30);
    await client.ping();
    assert.deepEqual(room.fatal, []);
  }));

test("STATUS, WATCH, RUNS and GATES answer in pages " +
  "when the whole would not fit into a frame", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 400 });
    const message = "?".repeat(16_000);
    const { run } = await client.submitSpec(
      pipeline(
        Array.from({ length: 300 }, (_, i) => spec(`j${i}`, { gate: { message, maxWaitMs: 1e9 } })),
      ),
    );
    await room.until(() => worker.assigned.length === 300);
    const result = Buffer.alloc(64 * 1024, 7);
    for (const item of worker.assigned) await worker.finish(report(item, { result }));
    const { jobs } = await client.status(run);
    assert.equal(jobs.length, 300);
    assert.ok(jobs.every((job) => job.result?.equals(result)));
    assert.equal((await client.gates()).length, 300);
    for await (const event of client.watch(run)) {
      assert.ok(event.type === "snapshot" && event.jobs.length === 300);
      break;
    }
    const name = "n".repeat(128);
    for (let i = 0; i < 11; i++) {
      await Promise.all(
        Array.from({ length: 100 }, () => client.submitSpec({ ...pipeline([spec("x")]), name })),
      );
    }
    assert.equal((await client.runs()).length, 1101);
  }));

test("100,000 jobs are submitted, listed, cancelled and recovered", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const jobs = Array.from({ length: 100_000 }, (_, i) =>
      spec(`job-${i}`, { dependsOn: i < 10 ? [] : [i - 10] }),
    );
    const { run } = await client.submitSpec(pipeline(jobs), { key: "k" });
    const status = await client.status(run);
    assert.equal(status.jobs.length, 100_000);
    assert.equal(status.jobs[99_999]!.reason, "waits for job-99989 (PENDING)");
    assert.equal(await client.cancel(run), 100_000);
    const { stateHash } = await client.info({ hash: true });
    const { recovered } = await room.restart();
    assert.equal(recovered.events, 2);
    assert.equal((await (await room.client()).info({ hash: true })).stateHash, stateHash);
  }));

test("a disk that takes no blob and no output keeps neither a worker " +
  "nor the master from going on", () =>
  Room.run(async (room) => {
    const host = withFiles(room.world.host("m"), (path, file) =>
      /\/(blobs|output)\//.test(path)
        ? fileWith(file, {
            append: async () => {
              throw diskFull();
            },
          })
        : file,
    );
    await room.start({ host });
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.assigned.length === 1);
    await worker.print(worker.assigned[0]!, "lost");
    await worker.finish(report(worker.assigned[0]!));
    const script = "#".repeat(1_000_000);
    await assert.rejects(
      client.submitSpec(
        pipeline(
          Array.from({ length: 6 }, (_, i) => spec(`j${i}`, { action: { type: "shell", script } })),
        ),
      ),
      refusal("INTERNAL", /ENOSPC/),
    );
    assert.deepEqual(await room.statuses(client, run), { a: "COMPLETED" });
    for await (const chunk of client.logs(run, "a")) {
      assert.fail(`nothing was kept, but ${chunk.data}`);
    }
    assert.deepEqual(room.fatal, []);
  }));

test(
  "output that could not be stored is counted to the byte: in the job's status, to watchers, " +
    "after a restart",
  () =>
    Room.run(async (room) => {
      let full = false;
      const host = withFiles(room.world.host("m"), (path, file) =>
        /\/output\//.test(path)
          ? fileWith(file, {
              append: async (parts) => {
                if (full) throw diskFull();
                await file.append(parts);
              },
            })
          : file,
      );
      await room.start({ host });
      let client = await room.client();
      const worker = await room.worker("w", { slots: 3 });
      const retries = { maxAttempts: 2, delayMs: 10, backoff: 1, maxDelayMs: 10, jitter: 0 };
      const jobs = [spec("a"), spec("b"), spec("again", { retry: retries })];
      const { run } = await client.submitSpec(pipeline(jobs));
      const seen: JobChange[] = [];
      const watching = (async () => {
        for await (const event of client.watch(run)) {
          if (event.type === "job") seen.push(event.change);
        }
      })();
      await room.until(() => worker.assigned.length === 3);
      const [a, b, again] = worker.assigned;
      await worker.print(a!, "kept");
      full = true;
      await worker.print(a!, "lost: 15 bytes.");
      await worker.print(a!, "ten more..");
      await worker.print(again!, "lost");
      const failure = { kind: "exit" as const, message: "exit 1", exitCode: 1, signal: undefined };
      await worker.finish(report(a!), report(again!, { failure }));
      const lost = { bytes: 25, why: "ENOSPC: no space left on device" };
      const of = async (id: string) => (await client.status(run, id)).jobs[0]!.lostOutput;
      assert.deepEqual(await of("a"), lost);
      await room.until(() => worker.assigned.length === 4);
      assert.equal(await of("again"), undefined, "its next attempt has lost nothing");
      await worker.finish(report(worker.assigned[3]!), report(b!));
      await watching;
      const ends = seen.filter(({ status }) => status === "COMPLETED");
      const told = ends.map(({ index, lostOutput }) => [index, lostOutput?.bytes]);
      assert.deepEqual(told.sort(), [
        [0, 25],
        [1, undefined],
        [2, undefined],
      ]);
      await worker.print(b!, "too late");
      assert.deepEqual(await of("b"), { ...lost, bytes: 8 });
      const { stateHash } = await client.info({ hash: true });
      await room.restart();
      client = await room.client();
      assert.deepEqual([await of("a"), await of("b")], [lost, { ...lost, bytes: 8 }]);
      assert.equal((await client.info({ hash: true })).stateHash, stateHash);
    }),
);

// ── on a real machine ────────────────────────────────────────────────────────────────────────────

test("the same master on a real disk and a real socket: submit, dispatch, " +
  "finish, stop, start", async () => {
  const dir = await mkdtemp(join(tmpdir(), "titan-master-"));
  const host = nodeHost();
  const start = () =>
    startMaster({ host, dir, listen: { host: "127.0.0.1", port: 0 }, token: "t" });
  try {
    const master = await start();
    let dispatched: (body: Buffer) => void = () => undefined;
    const dispatch = new Promise<Buffer>((resolve) => { dispatched = resolve; });
    const worker = new RpcConnection(await host.network.dial(master), {
      host,
      onNotify: (_opcode, body) => dispatched(body),
    });
    await worker.request(Op.HELLO, hello({ role: "worker", token: "t", instance: "i" }));
    const client = await connect({ host, master, token: "t" });
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    const [item] = Dispatch.decode(await dispatch).items;
    await worker.request(Op.FINISHED, Finished.encode({ items: [report(item!)] }));
    for await (const event of client.watch(run)) {
      if (event.type === "run" && event.run.status === "COMPLETED") break;
    }
    await master.stop();
    const again = await start();
    assert.equal(again.recovered.runs, 1);
    const other = await connect({ host, master: again, token: "t" });
    assert.equal((await other.runs())[0]!.status, "COMPLETED");
    other.close();
    await again.stop();
  } finally {
    await rm(dir, { recursive: true });
  }
});
