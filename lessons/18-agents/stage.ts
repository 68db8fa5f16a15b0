/** Runs one of the examples on a cluster of its own, and shows what its agent has printed. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { startEmbeddedCluster } from "#cluster";
import { connect, parsePipeline, type Client } from "#sdk";
import { ensureBuilt } from "../../scripts/bootstrap.mjs";

/** `file`: beside this one. `meanwhile`: what a person does while it runs. */
export async function show(
  file: string, job: string, meanwhile: (titan: Client, run: string) => Promise<void> = async () => undefined,
): Promise<void> {
  // A job imports the package, which is what the build makes.
  await ensureBuilt();
  const path = fileURLToPath(new URL(file, import.meta.url));
  const cluster = await startEmbeddedCluster({ workers: 1, slots: 4 });
  const titan = await connect({ master: cluster.master });
  try {
    const pipeline = parsePipeline(await readFile(path, "utf8"));
    const { run } = await titan.submit(pipeline, { projectDir: dirname(path) });
    const [{ status }] = await Promise.all([titan.wait(run), meanwhile(titan, run)]);
    const { jobs } = await titan.status(run);
    const { attempt: last = 0 } = jobs.find(({ id }) => id === job) ?? {};
    for (let attempt = 1; attempt <= last; attempt++) {
      if (last > 1) console.log(`── ${job}, attempt ${attempt}`);
      for await (const { data } of titan.logs(run, job, { attempt })) process.stdout.write(data);
    }
    const others = jobs.map(({ id }) => id).filter((id) => id !== job);
    console.log(`\n${status}${others.length > 0 ? `, with ${others.join(", ")}` : ""}`);
  } finally {
    titan.close();
    await cluster.stop();
  }
}
