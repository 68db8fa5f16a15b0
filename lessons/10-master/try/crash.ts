/** Sixty lives of a master in a simulated machine room, each ended by a power cut at a random moment. Was a word broken? */
import { startMaster } from "#master";
import { RpcConnection } from "#rpc";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { Dispatch, Finished, Hello, Op, PROTOCOL, type Assignment, type JobSpec } from "#wire";

const LIVES = 60;
const at = { host: "master", port: 9090 };
const hello = Hello.encode({ protocol: PROTOCOL, role: "worker", token: undefined, version: "", instance: "x", name: "", tags: [], slots: 4, running: [], knows: [] });
const job = (id: string, dependsOn: number[]): JobSpec => ({
  id, action: { type: "command", argv: ["true"] }, dependsOn, requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success",
  timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
});
const spec = { name: "test", version: undefined, project: undefined, jobs: [job("a", []), job("b", [0]), job("c", [0]), job("d", [1, 2])] };
const total = { told: 0, unsaid: 0, submissions: 0, dispatches: 0, confirmations: 0 };

async function life(world: SimWorld): Promise<void> {
  const start = () => startMaster({ host: world.host("master"), dir: "/state", listen: { host: "127.0.0.1", port: 9090 } });
  await start();
  const accepted: string[] = [];
  const dispatched: Assignment[] = [];
  const confirmed: Assignment[] = [];
  const host = world.host("worker");
  const worker: RpcConnection = new RpcConnection(await host.network.dial(at), {
    host,
    onNotify(_opcode, body) {
      const { items } = Dispatch.decode(body);
      dispatched.push(...items);
      const reports = items.map(({ run, job, attempt }) => ({ run, job, attempt, failure: undefined, result: undefined, durationMs: 1 }));
      worker.request(Op.FINISHED, Finished.encode({ items: reports })).then(() => confirmed.push(...items), () => {});
    },
  });
  await worker.request(Op.HELLO, hello);
  const submitForEver = async (client: Client): Promise<void> => {
    for (;;) accepted.push((await client.submitSpec(spec)).run);
  };
  for (const name of ["ann", "bob"]) void submitForEver(await connect({ host: world.host(name), master: at })).catch(() => {});
  const { timers, random } = world.host("driver");
  await new Promise<void>((resolve) => void timers.after(10 + random.unit() * 40, resolve));

  world.crash("master", { torn: true });
  await start();
  const client = await connect({ host: world.host("eve"), master: at });
  const runs = await Promise.all((await client.runs()).map(({ id }) => client.status(id)));
  const row = ({ run, job }: Assignment) => runs[run - 1]?.jobs[job];
  total.told += accepted.length + dispatched.length + confirmed.length;
  total.unsaid += runs.length - accepted.length;
  total.submissions += accepted.filter((id) => !runs.some(({ run }) => run.id === id)).length;
  total.dispatches += dispatched.filter((item) => (row(item)?.attempt ?? 0) < item.attempt).length;
  total.confirmations += confirmed.filter((item) => row(item)?.status !== "COMPLETED").length;
}
for (let seed = 1; seed <= LIVES; seed++) {
  const world = new SimWorld({ seed, syncMs: [1, 6] });
  await world.settle(life(world));
}
console.log(`${LIVES} power cuts after ${total.told} acknowledgements, dispatches and confirmations`);
console.log(`  acknowledged submissions that were gone   ${total.submissions}`);
console.log(`  dispatched attempts that nobody knew of   ${total.dispatches}`);
console.log(`  confirmed results that were gone          ${total.confirmations}`);
console.log(`  runs on the disk that nobody was told of  ${total.unsaid}`);
