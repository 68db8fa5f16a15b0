/** A cluster that is busy, as a picture of it should show. */
import { definePipeline } from "#pipeline";
import type { Client } from "#sdk";

export interface Busy {
  /** The id of a run of many jobs, in the middle of its work. */
  readonly fan: string;
  /** That of a run that is over, in which something went wrong. */
  readonly past: string;
}

const steps = (...jobs: readonly string[]): object[] => jobs.map((id, at) => ({
  id, run: `sleep 0.${at + 1}`, ...(at > 0 && { depends_on: jobs[at - 1] }),
}));

export async function makeBusy(titan: Client): Promise<Busy> {
  const submit = async (pipeline: object): Promise<string> =>
    (await titan.submit(definePipeline(pipeline, { file: "scene" }))).run;
  const past = await submit({
    name: "shop", jobs: [
      { id: "checkout", run: "true" },
      { id: "lint", run: "sleep 0.3", depends_on: "checkout" },
      { id: "build", run: "sleep 0.2", depends_on: "checkout" },
      { id: "test", run: "exit 1", depends_on: "build", retry: { max_attempts: 2, delay: "50ms" } },
      { id: "pack", run: "true", depends_on: "build" },
      { id: "publish", run: "true", depends_on: ["lint", "test", "pack"] },
    ],
  });
  for (let night = 0; night < 5; night++) {
    const ids = await Promise.all([
      submit({ name: "nightly-train", jobs: steps("fetch", "clean", "train", "score") }),
      submit({ name: "report", jobs: steps("query", "render") }),
      submit({
        name: "etl",
        jobs: [{ id: "extract", run: "sleep 0.1" },
          { id: "load", run: night % 3 === 1 ? "exit 3" : "true", depends_on: "extract" }],
      }),
    ]);
    for (const id of ids) await titan.wait(id).catch(() => undefined);
  }
  await submit({
    name: "release",
    jobs: [
      { id: "build", run: "true" },
      { id: "canary", run: "true", depends_on: "build",
        hitl_message: "Ship version 2.4? The canary has run for an hour without an error." },
      { id: "ship", run: "true", depends_on: "canary" },
    ],
  });
  await submit({
    name: "web", jobs: [{ id: "api", type: "service", run: "exec sleep 600" }],
  });
  await submit({ name: "finetune", jobs: [{ id: "fit", run: "true", requirement: "GPU" }] });
  const parts = Array.from({ length: 40 }, (_, at) => `align-${String(at).padStart(2, "0")}`);
  const fan = await submit({
    name: "rnaseq",
    jobs: [
      { id: "index", run: "true" },
      ...parts.map((id, at) => ({ id, run: `sleep ${4 + at % 7}`, depends_on: "index" })),
      ...[0, 1, 2, 3].map((group) => ({
        id: `merge-${group}`, run: "sleep 5",
        depends_on: parts.filter((_, at) => at % 4 === group),
      })),
      { id: "report", run: "true", depends_on: [0, 1, 2, 3].map((group) => `merge-${group}`) },
    ],
  });
  return { fan, past };
}
