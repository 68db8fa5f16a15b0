/** The master dies for four seconds, in virtual time: what becomes of a job that runs, of one that waits, and of a second master? */
import { startMaster } from "#master";
import { RpcConnection } from "#rpc";
import { connect } from "#sdk";
import { SimWorld } from "#simhost";
import { Dispatch, Finished, Hello, Op, PROTOCOL, Welcome, type Assignment, type JobSpec } from "#wire";

const world = new SimWorld({ seed: 10 });
const at = { host: "master", port: 9090 };
const start = (port = at.port) => startMaster({ host: world.host("master"), dir: "state", listen: { host: "127.0.0.1", port } });
const pass = (ms: number): Promise<void> => new Promise((resolve) => void world.host("driver").timers.after(ms, resolve));
let zero = 0;
const say = (text: string): void => console.log(`second ${((world.now - zero) / 1000).toFixed(1).padStart(4)}   ${text}`);
const job = (id: string, delayMs: number): JobSpec => ({
  id, action: { type: "command", argv: [id] }, dependsOn: [], requirement: [], priority: 1, delayMs, affinity: undefined, when: "success",
  timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
});

// A worker that fits on a page: it runs what it is given, dials until it is heard, and says what it runs.
const running = new Map<string, Assignment>();
let master: RpcConnection | undefined;

async function dial(): Promise<void> {
  const host = world.host("worker");
  const onNotify = (_opcode: number, body: Buffer): void => Dispatch.decode(body).items.forEach(begin);
  const onClose = (): void => { master = undefined; void dial(); };
  try {
    const connection = new RpcConnection(await host.network.dial(at), { host, onNotify, onClose });
    const keys = [...running.values()].map(({ run, job: index, attempt }) => ({ run, job: index, attempt }));
    if (keys.length > 0) say(`worker: "I am here again, and run ${[...running.keys()].join(" and ")}"`);
    const hello = Hello.encode({ protocol: PROTOCOL, role: "worker", token: undefined, version: "", instance: "x", name: "ann", tags: [], slots: 2, running: keys, knows: [] });
    const { stale } = Welcome.decode(await connection.request(Op.HELLO, hello));
    if (keys.length > 0) say(`master: "welcome; stop ${stale.length} of these"`);
    master = connection;
  } catch {
    await pass(200);
    return dial();
  }
}

function begin(item: Assignment): void {
  say(`worker: begins ${item.jobId}, attempt ${item.attempt}`);
  running.set(item.jobId, item);
  if (item.jobId === "report") void pass(8000).then(() => end(item));
}

async function end(item: Assignment): Promise<void> {
  const { run, job: index, attempt } = item;
  say(`worker: ${item.jobId} has ended`);
  await master!.request(Op.FINISHED, Finished.encode({ items: [{ run, job: index, attempt, failure: undefined, result: undefined, durationMs: 8000 }] }));
  running.delete(item.jobId);
  say(`master: "${item.jobId} is done, and on my disk"`);
}

async function life(): Promise<void> {
  await start();
  await dial();
  const client = await connect({ host: world.host("client"), master: at });
  zero = world.now;
  say("client: submits report, which takes 8 s, and reminder, which is to wait for 10 s");
  await client.submitSpec({ name: "test", version: undefined, project: undefined, jobs: [job("report", 0), job("reminder", 10_000)] });
  await pass(3000);
  world.kill("master");
  say("master: kill -9");
  await pass(4000);
  const { recovered } = await start();
  say(`master: starts again, from ${recovered.events} events`);
  await start(at.port + 1).catch((error: Error) => say(`a second master: ${error.message}`));
  await pass(5000);
}
await world.settle(life());
