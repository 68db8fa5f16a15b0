/** The same agent as a job of a cluster, and the same kill. */
import { fileURLToPath } from "node:url";
import { startEmbeddedCluster } from "#cluster";
import { connect } from "#sdk";
import { ensureBuilt } from "../../../scripts/bootstrap.mjs";
import { World } from "../world.ts";

// A job imports the package, which is what the build makes.
await ensureBuilt();
const world = new World({ killAt: 3, attempts: true });
const address = await world.open();
const cluster = await startEmbeddedCluster({ workers: 1, slots: 1, durability: "always" });
const titan = await connect({ master: cluster.master });
const projectDir = fileURLToPath(new URL("../trip", import.meta.url));
const retry = { max_attempts: 3, delay: 0 };
const { run } = await titan.submit({
  name: "trip", jobs: [{ id: "trip", file: "trip.mjs", args: [address], retry }],
}, { projectDir });
await titan.wait(run);
world.close();
titan.close();
await cluster.stop();
