/** What `kill -9` and a power cut leave of a file, with and without an fsync. */
import { SimWorld } from "#simhost";

const TEXT = "accepted: run 1\n";

async function left(how: "kill" | "crash", sync: boolean): Promise<string> {
  const world = new SimWorld({ seed: 22 });
  const { storage } = world.host("master");
  const file = await storage.open("/log", { create: true });
  await world.settle(storage.syncDirectory("/"));
  await file.append([Buffer.from(TEXT)]);
  if (sync) await world.settle(file.sync());
  if (how === "kill") world.kill("master");
  else world.crash("master");
  const bytes = await world.host("master").storage.readFile("/log");
  return bytes.toString() === TEXT ? "there" : "gone";
}

console.log("                  after kill -9   after a power cut");
for (const sync of [false, true]) {
  const name = sync ? "written, fsynced" : "written";
  console.log(`${name.padEnd(18)}${(await left("kill", sync)).padEnd(16)}${await left("crash", sync)}`);
}
