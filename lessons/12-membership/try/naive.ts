/** A coordinator as one writes it first: beats, a timeout, and whoever answers is right. Then a worker is frozen for a while. */
import { RpcConnection } from "#rpc";
import { SimWorld } from "#simhost";

const [BEAT, RUN, DONE] = [1, 2, 3];
const SILENT_MS = 4000;
const world = new SimWorld({ seed: 12, latencyMs: [1, 1] });
const say = (who: string, what: string): void => console.log(`${(world.now / 1000).toFixed(3).padStart(7)} s  ${who.padEnd(6)}  ${what}`);

interface Member { readonly name: string; readonly connection: RpcConnection; heardAt: number }
const members: Member[] = [];
let owner: Member | undefined;

function give(): void {
  owner = members.find((member) => member !== owner)!;
  say("master", `gives report to ${owner.name}`);
  owner.connection.notify(RUN, Buffer.alloc(0));
}

async function startMaster(): Promise<void> {
  const host = world.host("m");
  await host.network.listen({ host: "m", port: 1 }, (socket) => {
    const connection = new RpcConnection(socket, {
      host,
      onNotify: (opcode, body) => {
        member.heardAt = world.now;
        if (opcode === DONE) say("master", `report is "${body}", so mail is sent to 5,000 customers`);
      },
    });
    const member: Member = { name: `w${members.length + 1}`, connection, heardAt: world.now };
    members.push(member);
  });
  const look = (): void => {
    if (owner !== undefined && world.now - owner.heardAt > SILENT_MS) {
      say("master", `${owner.name} has been silent for ${SILENT_MS / 1000} s: it must be dead`);
      give();
    }
    host.timers.after(100, look);
  };
  look();
}

async function startWorker(name: string): Promise<void> {
  const host = world.host(name);
  const connection = new RpcConnection(await host.network.dial({ host: "m", port: 1 }), {
    host,
    onNotify: () => {
      const began = world.now;
      host.timers.after(6000, () => connection.notify(DONE, Buffer.from(`made by ${name}, with the figures of second ${(began / 1000).toFixed(0)}`)));
    },
  });
  const beat = (): void => {
    connection.notify(BEAT, Buffer.alloc(0));
    host.timers.after(1000, beat);
  };
  beat();
}

await world.settle((async () => {
  const at = (ms: number): Promise<void> => new Promise((resolve) => void world.host("driver").timers.after(ms - world.now, resolve));
  await startMaster();
  for (const name of ["w1", "w2"]) await startWorker(name);
  await at(100);
  give();
  await at(2000);
  say("", "── w1 is frozen");
  world.pause("w1");
  await at(9000);
  say("", "── w1 thaws");
  world.resume("w1");
  await at(15_000);
})());
