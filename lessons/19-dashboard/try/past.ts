/** A run that is over, backwards: its facts, and a fold that knows nothing of what they mean. */
import assert from "node:assert/strict";
import "#history";
import { changedJson } from "#rows";
import { pastFacts } from "#sdk";
import { RunPast, type Moment, type PastFact } from "../../../src/dashboard/page/past/fold.ts";
import { Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const run = await stage.submit("release", "build", "test", "ship");
  await stage.pass(7_000);
  const told = await pastFacts(stage.client, { from: 1, limit: 100, run, changes: true });
  const [first, ...facts] = told.facts.map((fact, at) =>
    ({ ...fact, changed: changedJson(told.changed[at]!, fact.at) }) as PastFact);
  const { jobs, run: row } = first!.changed!;
  const begin: Moment = {
    seq: first!.seq, at: first!.at, run: row!, jobs: new Map(jobs.map((job) => [job.id, job])),
  };
  const past = new RunPast(first!, begin);
  for (const fact of facts) past.add(fact);
  const show = (place: number): string => {
    const { run: { status }, jobs: rows } = past.at(place);
    return `${status}: ${[...rows.values()].map((job) => `${job.id} ${job.status}`).join(", ")}`;
  };
  for (const [at, { text, changed }] of past.facts.entries()) {
    const rows = changed!.jobs.map(({ id }) => id).join(", ");
    console.log(`${text.replaceAll(`${run}/`, "").padEnd(42)} changes ${rows}`);
    console.log(`    ${show(at + 1)}`);
  }
  console.log(`back to ${past.facts[3]!.seq}\n    ${show(4)}`);
  assert.equal(show(past.facts.length), `COMPLETED: ${"build test ship".split(" ")
    .map((id) => `${id} COMPLETED`).join(", ")}`);
});
