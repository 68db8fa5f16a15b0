/** Chapter 16: people are told that a gate is open: by a program, or at an address of the web. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { webhookProblem, webhookShown } from "#base";
import { nodePost } from "#host";
import type { GateMessage, Messenger } from "#master";
import { gateJson } from "#rows";
import { PLAIN_RULES, type GateInfo, type Notify } from "#wire";
import { GateMessenger, NOTIFY_ALL, type NotifyPolicy } from "../src/cluster/messenger.ts";
import { pipeline, report, refusal, Room, spec } from "./10-master.support.ts";
import { eventually } from "./processes.support.ts";

const PAGER: Notify = { type: "command", argv: ["pager"] };

const asks = (notify: Notify = PAGER) => spec("build", {
  gate: { message: "Ship it?", maxWaitMs: 86_400_000, rules: { ...PLAIN_RULES, notify } },
});

/** A messenger that notes what it is given, and fails as often as it is told to. */
function pager(failures: number): Messenger & { sent: GateMessage[] } {
  const sent: GateMessage[] = [];
  return {
    sent,
    refusal: () => undefined,
    send: async (_, message) => {
      sent.push(message);
      return sent.length <= failures ? "no dial tone" : undefined;
    },
  };
}

async function openGate(room: Room, messenger: Messenger): Promise<string> {
  await room.start({ messenger });
  const worker = await room.worker("w1");
  const client = await room.client();
  const { run } = await client.submitSpec(pipeline([asks()]));
  await room.until(() => worker.assigned.length === 1);
  await worker.finish(report(worker.assigned[0]!));
  worker.connection.close(); // its heartbeats would fill hours
  client.close();
  return run;
}

const gateOf = async (room: Room): Promise<GateInfo> => {
  const client = await room.client();
  const [gate] = await client.gates();
  client.close();
  return gate!;
};

// ── the master ───────────────────────────────────────────────────────────────────────────────────

test("a gate that opens tells people, once", () => Room.run(async (room) => {
  const messenger = pager(0);
  const run = await openGate(room, messenger);
  await room.until(() => messenger.sent.length === 1);
  await room.sleep(3_600_000);
  assert.equal(messenger.sent.length, 1);
  const [{ gate, run: id, job, tries }] = messenger.sent as [GateMessage];
  assert.deepEqual([gate.id, gate.message, id, job, tries], [
    `${run}/build`, "Ship it?", run, "build", 0,
  ]);
  const { notice } = await gateOf(room);
  assert.deepEqual([notice!.tries, notice!.dueAt, notice!.sentAt > 0], [1, 0, true]);
}));

test("a message that fails is sent again, with longer pauses, and its gate says why", () =>
  Room.run(async (room) => {
    const messenger = pager(3);
    await openGate(room, messenger);
    const times: number[] = [];
    for (let tries = 1; tries <= 4; tries++) {
      await room.until(() => messenger.sent.length === tries, 60_000);
      times.push(room.world.now);
      if (tries > 1) continue;
      await room.sleep(10);
      const { notice } = await gateOf(room);
      assert.deepEqual([notice!.tries, notice!.why, notice!.sentAt], [1, "no dial tone", 0]);
      assert.ok(notice!.dueAt > 0);
    }
    const pauses = times.slice(1).map((at, index) => at - times[index]!);
    assert.ok(pauses[1]! > 2 * pauses[0]! && pauses[2]! > 2 * pauses[1]!, pauses.join(", "));
    assert.deepEqual(messenger.sent.map(({ tries }) => tries), [0, 1, 2, 3]);
  }));

test("after the last try it is given up, and the gate stays open", () => Room.run(async (room) => {
  const messenger = pager(Infinity);
  const run = await openGate(room, messenger);
  await room.sleep(2 * 3_600_000);
  assert.equal(messenger.sent.length, 10);
  const gate = await gateOf(room);
  assert.deepEqual([gate.notice!.tries, gate.notice!.dueAt], [10, 0]);
  assert.deepEqual((gateJson(gate) as { notice: object }).notice, {
    to: "pager", state: "failed", tries: 10, sentAt: null, nextAt: null, why: "no dial tone",
  });
  const client = await room.client();
  assert.equal((await client.decide(`${run}/build`, { approve: true })).approved, true);
}));

test("a master that dies before people were told tells them when it is back", () =>
  Room.run(async (room) => {
    // It hangs: the message is on its way when the power fails.
    const dead: Messenger = { refusal: () => undefined, send: () => new Promise(() => undefined) };
    await openGate(room, dead);
    await room.sleep(1000);
    const messenger = pager(1);
    await room.restart({ messenger });
    await room.until(() => messenger.sent.length === 1);
    await room.sleep(10);
    // …and the pause before the next try is a moment in the log, not a timer of the process.
    const again = pager(0);
    await room.restart({ messenger: again });
    assert.equal(again.sent.length, 0);
    await room.until(() => again.sent.length === 1, 5000);
    assert.equal(again.sent[0]!.tries, 1);
    await room.sleep(10);
    const last = pager(0);
    await room.restart({ messenger: last });
    await room.sleep(3_600_000);
    assert.equal(last.sent.length, 0);
  }));

test("nobody is told of a gate that has its answer", () => Room.run(async (room) => {
  const messenger = pager(Infinity);
  const run = await openGate(room, messenger);
  await room.until(() => messenger.sent.length === 2);
  const client = await room.client();
  await client.decide(`${run}/build`, { approve: false });
  await room.sleep(3_600_000);
  assert.equal(messenger.sent.length, 2);
}));

test("a messenger that hangs keeps neither the master nor more than seven others", () =>
  Room.run(async (room) => {
    let open = 0;
    let release: () => void = () => undefined;
    const gone = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
    const messenger: Messenger = { refusal: () => undefined, send: () => { open++; return gone; } };
    await room.start({ messenger });
    const worker = await room.worker("w1", { works: true, slots: 20 });
    const client = await room.client();
    const jobs = Array.from({ length: 20 }, (_, n) => ({ ...asks(), id: `j${n}` }));
    await client.submitSpec(pipeline(jobs));
    await room.until(() => worker.confirmed.length === 20);
    assert.equal((await client.gates()).length, 20);
    assert.equal(open, 8);
    release();
    await room.until(() => open === 20);
  }));

test("a master that would not tell people so refuses the run", () => Room.run(async (room) => {
  const messenger = new GateMessenger({
    policy: { commands: false, webhooks: ["hooks.example.org"] }, cwd: "/", env: {},
  });
  await room.start({ messenger });
  const client = await room.client();
  const submit = (notify: Notify) => client.submitSpec(pipeline([asks(notify)]));
  await assert.rejects(submit(PAGER), refusal("INVALID", /job "build" has a gate that tells/));
  const elsewhere: Notify = { type: "webhook", url: "https://other.example.org/secret" };
  await assert.rejects(submit(elsewhere), (error: Error) => {
    assert.match(error.message, /calls only hooks\.example\.org/);
    return !error.message.includes("secret");
  });
  await assert.rejects(
    submit({ type: "webhook", url: "file:///etc/passwd" }),
    refusal("INVALID", /at an address that must be an http or https address/),
  );
  await submit({ type: "webhook", url: "https://hooks.example.org/T0" });
}));

// ── the messenger ────────────────────────────────────────────────────────────────────────────────

const MESSAGE: GateMessage = {
  gate: {
    id: "release-7k2m/build", message: "Ship it?", openedAt: 1_800_000_000_000, votes: [],
    deadline: 1_800_000_060_000, rules: { ...PLAIN_RULES, approvers: ["ada", "bob"] },
    submitter: "eve", result: undefined,
  },
  run: "release-7k2m", job: "build", tries: 1,
};

function messenger(options: {
  policy?: NotifyPolicy; cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number;
} = {}): GateMessenger {
  const { policy = NOTIFY_ALL, cwd = "/", env = { PATH: process.env["PATH"] } } = options;
  return new GateMessenger({ policy, cwd, env, timeoutMs: options.timeoutMs ?? 20_000 });
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "titan-notify-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("a program gets the message on stdin, and facts in an environment of its own", async (t) => {
  const cwd = folder(t);
  const script = "#!/bin/sh\ncat > message.json\nenv | sort > env.txt\n";
  writeFileSync(join(cwd, "page.sh"), script, { mode: 0o755 });
  const env = { PATH: process.env["PATH"], TITAN_NOTIFY_KEY: "k", TITAN_TOKEN: "t", SECRET: "s" };
  const argv = ["./page.sh"];
  assert.equal(await messenger({ cwd, env }).send({ type: "command", argv }, MESSAGE), undefined);
  const message = JSON.parse(readFileSync(join(cwd, "message.json"), "utf8"));
  assert.deepEqual(message, {
    event: "gate.opened", id: "release-7k2m%2Fbuild%401800000000000", try: 2,
    text: "Ship it? (titan approve release-7k2m/build or titan reject release-7k2m/build)",
    gate: "release-7k2m/build", run: "release-7k2m", job: "build", message: "Ship it?",
    openedAt: 1_800_000_000_000, deadline: 1_800_000_060_000, submitter: "eve", form: [],
    approvers: ["ada", "bob"], required: 1, onTimeout: "reject",
  });
  const seen = readFileSync(join(cwd, "env.txt"), "utf8");
  assert.match(seen, /^TITAN_GATE=release-7k2m\/build$/m);
  assert.match(seen, /^TITAN_GATE_APPROVERS=ada,bob$/m);
  assert.match(seen, /^TITAN_GATE_CLOSES=2027-01-15T08:01:00.000Z$/m);
  assert.match(seen, /^TITAN_NOTIFY_KEY=k$/m);
  assert.doesNotMatch(seen, /TITAN_TOKEN|SECRET/);
});

test("a program that fails, hangs or is not there is a reason, and leaves nothing", async (t) => {
  const cwd = folder(t);
  const run = (script: string, timeoutMs = 20_000) =>
    messenger({ cwd, timeoutMs }).send({ type: "command", argv: ["sh", "-c", script] }, MESSAGE);
  let timeoutMs = 150;
  const hang = async (): Promise<string | undefined> => {
    const why = await run("sleep 600 & echo $! > hung; wait", timeoutMs *= 2);
    // On a busy machine it may have been killed before it had begun: then it gets more time.
    return existsSync(join(cwd, "hung")) || timeoutMs > 20_000 ? why : hang();
  };
  const [failed, hung, absent, left] = await Promise.all([
    run("echo no dial tone >&2; exit 3"),
    hang(),
    messenger({ cwd }).send({ type: "command", argv: ["./absent"] }, MESSAGE),
    // It has told people, and leaves a process behind.
    run("sleep 600 & echo $! > left"),
  ]);
  assert.equal(failed, "sh: no dial tone (exit code 3)");
  assert.equal(hung, `sh: it had not ended after ${timeoutMs / 1000} s, and was killed`);
  assert.match(absent!, /^\.\/absent: there is no program \.\/absent/);
  assert.equal(left, undefined);
  for (const name of ["hung", "left"]) {
    const pid = Number(readFileSync(join(cwd, name), "utf8"));
    const isGone = (): boolean => {
      try {
        return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
      } catch {
        return true;
      }
    };
    await eventually(`${name} is gone`, isGone);
  }
});

async function server(
  t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const web = createServer(answer);
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    web.closeAllConnections();
    web.close();
  });
  return `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
}

test("an address gets the message as JSON; no status but 2xx is one of success", async (t) => {
  const asked: { path: string; id: unknown; body: string }[] = [];
  const origin = await server(t, (request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece)).on("end", () => {
      const path = request.url!;
      asked.push({ path, id: request.headers["titan-message"], body });
      if (path === "/hang") return;
      if (path === "/cut") return response.socket!.destroy();
      const status = Number(path.slice(1));
      response.writeHead(status, status === 302 ? { location: "/200" } : {}).end("x".repeat(1e6));
    });
  });
  const send = (path: string, timeoutMs = 20_000) =>
    messenger({ timeoutMs }).send({ type: "webhook", url: `${origin}${path}` }, MESSAGE);
  assert.equal(await send("/204"), undefined);
  assert.equal(JSON.parse(asked[0]!.body).gate, "release-7k2m/build");
  assert.equal(asked[0]!.id, "release-7k2m%2Fbuild%401800000000000");
  assert.equal(await send("/500"), `${origin}/… answered 500`);
  assert.equal(await send("/302"), `${origin}/… answered 302`);
  assert.equal(await send("/cut"), `${origin}/…: ECONNRESET`);
  // On a busy machine a request may not be there so soon: then it gets more time.
  for (let ms = 100; asked.length === 4 && ms < 20_000; ms *= 2) {
    assert.equal(await send("/hang", ms), `${origin}/…: no answer within ${ms / 1000} s`);
  }
  assert.deepEqual(asked.map(({ path }) => path), ["/204", "/500", "/302", "/cut", "/hang"]);
  await assert.rejects(
    nodePost()("http://127.0.0.1:1", { body: "", headers: {}, timeoutMs: 20_000 }),
    { code: "ECONNREFUSED" },
  );
});

test("an address may be in a variable of the master's, and is then in no reason", async (t) => {
  const origin = await server(t, (_, response) => void response.writeHead(401).end());
  const env = { TITAN_NOTIFY_OPS: `${origin}/T0/secret`, TITAN_NOTIFY_BAD: "ops" };
  const send = (url: string) => messenger({ env }).send({ type: "webhook", url }, MESSAGE);
  assert.equal(await send("$TITAN_NOTIFY_OPS"), "$TITAN_NOTIFY_OPS answered 401");
  for (const name of ["$TITAN_NOTIFY_BAD", "$TITAN_NOTIFY_GONE"]) {
    assert.equal(await send(name), `${name} is not set to an address, where the master runs`);
  }
});

test("an address that a file names is of the web, and is shown without its path", () => {
  for (const good of ["https://a.example/x?y#z", "http://127.0.0.1:8080", "$TITAN_NOTIFY_OPS"]) {
    assert.equal(webhookProblem(good), undefined, good);
  }
  for (const bad of ["", "a.example", "ftp://a", "javascript:1", "$TITAN_TOKEN", "$HOME"]) {
    assert.match(webhookProblem(bad)!, /http or https/, bad);
  }
  assert.match(webhookProblem("https://ada:pw@a.example")!, /no user and no password/);
  assert.equal(webhookShown("https://a.example/x"), "https://a.example/…");
  assert.equal(webhookShown("https://a.example/?k=1"), "https://a.example/…");
  assert.equal(webhookShown("https://a.example"), "https://a.example");
  assert.equal(webhookShown("$TITAN_NOTIFY_OPS"), "$TITAN_NOTIFY_OPS");
});
