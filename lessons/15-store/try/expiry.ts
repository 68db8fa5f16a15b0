/** Two keys that will die, a process that dies first, and what the log says about it. The clock is chapter 03's, so it is always 2024. */
import { readLog } from "#log";
import { SimWorld } from "#simhost";
import { openStore, ReplyBuffer } from "#store";

const world = new SimWorld({ seed: 15 });
const dir = "/data/store";

async function open(): Promise<(...argv: string[]) => Promise<void>> {
  const opened = await world.settle(openStore({ host: world.host("box"), dir }));
  const out = new ReplyBuffer();
  const session = opened.store.session({ out });
  return async (...argv) => {
    const asked = clock();
    opened.store.execute(session, [...argv]);
    await world.settle(Promise.resolve(opened.afterCommit()));
    console.log(`${asked}  ${argv.join(" ").padEnd(26)} ${String(out.take()[0])}`);
  };
}

const clock = (): string => `t=${(world.now / 1000).toFixed(3)}`.padEnd(8);

let ask = await open();
await world.run(1000);
await ask("SET", "login:ann", "yes", "EX", "60");
await ask("SET", "turn", "w7", "EX", "10");
await world.run(5000);
await ask("TTL", "login:ann");
world.kill("box");
console.log(`${clock()}  kill -9, and a look at the log:`);
let log = "";
await world.settle(readLog(world.host("box"), `${dir}/log`, { record: (_, body) => void (log += body.toString("latin1")) }));
for (const command of log.split(/^\*.*\r\n/m).slice(1)) {
  console.log(`${" ".repeat(10)}${command.split("\r\n").filter((line) => line !== "" && !line.startsWith("$")).join(" ")}`);
}
await world.run(30_000);
console.log(`${clock()}  started again`);
ask = await open();
await world.run(31_000);
await ask("TTL", "login:ann");
await ask("GET", "turn");
await world.run(60_999);
await ask("GET", "login:ann");
await world.run(61_000);
await ask("GET", "login:ann");
