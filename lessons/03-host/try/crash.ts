/** Three ways to write a file, and what a power cut leaves of each. */
import type { Storage } from "#host";
import { SimWorld } from "#simhost";

const ways: Record<string, (storage: Storage) => Promise<void>> = {
  "written": async (storage) => storage.writeFile("/state", Buffer.from("new")),
  "written, synced, renamed": async (storage) => {
    const file = await storage.open("/state.tmp", { create: true });
    await file.appendAndSync([Buffer.from("new")]);
    await storage.rename("/state.tmp", "/state");
  },
  "written, synced, renamed, folder synced": async (storage) => {
    const file = await storage.open("/state.tmp", { create: true });
    await file.appendAndSync([Buffer.from("new")]);
    await storage.rename("/state.tmp", "/state");
    await storage.syncDirectory("/");
  },
};

for (const [name, write] of Object.entries(ways)) {
  const world = new SimWorld({ seed: 1 });
  const { storage } = world.host("a");
  const old = await storage.open("/state", { create: true });
  await world.settle(old.appendAndSync([Buffer.from("old")]));
  await world.settle(storage.syncDirectory("/"));
  await world.settle(write(storage));
  const before = await storage.readFile("/state");
  world.crash("a");
  const after = await world.host("a").storage.readFile("/state");
  console.log(`${name.padEnd(40)} before the cut: ${before}   after: ${after}`);
}
