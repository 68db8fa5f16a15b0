/**
 * Two people withdraw 80 from an account that holds 100. The bank is a server, they are clients, and their code is handed a
 * Host: `race` runs it in 1,000 simulated worlds, `race 42` shows one of them, `race 42 42 43` compares, `race real` uses this machine.
 */
import { createHash } from "node:crypto";
import { nodeHost, type Address, type Host } from "#host";
import { SimWorld } from "#simhost";

type Note = (text: string) => void;

/** Knows "get" and "set N", one command in each chunk. (Lesson 01 says what is wrong with that.) */
function openBank(host: Host, at: Address, note: Note) {
  let balance = 100;
  return host.network.listen(at, (socket) => socket.handle({
    onData: (chunk) => {
      const [verb, amount] = chunk.toString().split(" ");
      if (verb === "set") balance = Number(amount);
      note(`bank: ${chunk}, balance ${balance}`);
      socket.write(Buffer.from(`${balance}`));
    },
    onClose: () => {},
  }));
}

/** Looks, thinks, withdraws if there is enough. Resolves with what it got. */
async function withdraw(host: Host, bank: Address, note: Note): Promise<number> {
  await new Promise<void>((resolve) => void host.timers.after(host.random.unit() * 50, resolve));
  const socket = await host.network.dial(bank);
  return new Promise((resolve) => {
    let answers = 0;
    socket.handle({
      onData: (chunk) => {
        const balance = Number(chunk);
        if (++answers === 1 && balance >= 80) {
          socket.write(Buffer.from(`set ${balance - 80}`));
          return;
        }
        note(answers === 1 ? "gets nothing" : "gets 80");
        socket.end();
        resolve(answers === 1 ? 0 : 80);
      },
      onClose: () => {},
    });
    socket.write(Buffer.from("get"));
  });
}

async function simulated(seed: number): Promise<{ trace: string; paid: number }> {
  const world = new SimWorld({ seed });
  await openBank(world.host("bank"), { host: "bank", port: 80 }, (text) => world.note(text));
  const people = ["ann", "bob"].map((name) => withdraw(world.host(name), { host: "bank", port: 80 }, (text) => world.note(`${name}: ${text}`)));
  const [ann = 0, bob = 0] = await world.settle(Promise.all(people));
  await world.run();
  return { trace: world.trace.join("\n"), paid: ann + bob };
}

async function real(): Promise<number> {
  const host = nodeHost();
  const bank = await openBank(host, { host: "127.0.0.1", port: 0 }, () => {});
  const [ann = 0, bob = 0] = await Promise.all([withdraw(host, bank, () => {}), withdraw(host, bank, () => {})]);
  await bank.close();
  return ann + bob;
}

const seeds = process.argv.slice(2);
if (seeds[0] === "real") {
  let overdrawn = 0;
  for (let i = 0; i < 200; i++) if ((await real()) > 100) overdrawn++;
  console.log(`on this machine: ${overdrawn} of 200 runs paid 160 out of 100`);
} else if (seeds.length === 0) {
  const bad: number[] = [];
  for (let seed = 0; seed < 1000; seed++) if ((await simulated(seed)).paid > 100) bad.push(seed);
  console.log(`${bad.length} of 1000 worlds paid 160 out of 100, the first of them seeds ${bad.slice(0, 4).join(", ")}`);
} else if (seeds.length === 1) {
  const { trace, paid } = await simulated(Number(seeds[0]));
  console.log(`${trace}\n\npaid ${paid} out of 100`);
} else {
  for (const seed of seeds) {
    const { trace, paid } = await simulated(Number(seed));
    const lines = trace.split("\n").length;
    console.log(`seed ${seed}: ${lines} lines, sha256 ${createHash("sha256").update(trace).digest("hex").slice(0, 12)}, paid ${paid}`);
  }
}
