/** One submission on a slow disk, on the wire and on the disk: what leaves the master, and when? `order crash`: power off at 15 ms. */
import { startMaster } from "#master";
import { RpcConnection } from "#rpc";
import { connect } from "#sdk";
import { SimWorld } from "#simhost";
import { Dispatch, Hello, Op, PROTOCOL } from "#wire";

const crash = process.argv[2] === "crash";
const world = new SimWorld({ seed: 10, latencyMs: [1, 1], syncMs: [20, 20] });
const at = { host: "master", port: 9090 };
const start = () => startMaster({ host: world.host("master"), dir: "/state", listen: { host: "127.0.0.1", port: 9090 } });
const hello = Hello.encode({ protocol: PROTOCOL, role: "worker", token: undefined, version: "", instance: "x", name: "ann", tags: [], slots: 1, running: [], knows: [] });
let zero = 0;
const say = (text: string): void => console.log(`${(world.now - zero).toFixed(0).padStart(3)} ms  ${text}`);

async function life(): Promise<void> {
  await start();
  const host = world.host("worker");
  const worker = new RpcConnection(await host.network.dial(at), {
    host,
    onNotify: (_opcode, body) => say(`worker: "run ${Dispatch.decode(body).items.map((item) => item.jobId)}"`),
  });
  await worker.request(Op.HELLO, hello);
  const client = await connect({ host: world.host("client"), master: at });
  zero = world.now;
  const traced = world.trace.length;
  say("client: submits a pipeline with the job hello, under the key tuesday");
  const job = {
    id: "hello", action: { type: "command" as const, argv: ["echo", "hello"] }, dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined,
    when: "success" as const, timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
  };
  const submit = async (from: typeof client): Promise<void> => {
    const { run, existing } = await from.submitSpec({ name: "test", version: undefined, project: undefined, jobs: [job] }, { key: "tuesday" });
    say(`client: "accepted as ${run}"${existing ? ", again" : ""}`);
  };
  const submitted = submit(client).catch((error: Error) => say(`client: ${error.message}`));
  const pass = (ms: number) => new Promise<void>((resolve) => void world.host("driver").timers.after(ms, resolve));
  await pass(10);
  say(`master: has decided and applied; ${world.trace.slice(traced).filter((line) => line.includes("master ->")).length} frames have left it, and the disk is busy`);
  if (!crash) {
    await pass(12);
    say(`disk: ${world.trace.slice(traced).filter((line) => line.includes("master synced")).length} fsync is done`);
    return submitted.then(() => pass(5));
  }
  await pass(5);
  world.crash("master");
  say("master: the power goes");
  await submitted;
  const { recovered } = await start();
  say(`master: starts again, and its log has ${recovered.runs} runs`);
  await submit(await connect({ host: world.host("client"), master: at }));
}
await world.settle(life());
