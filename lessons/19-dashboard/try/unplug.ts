/** One page stays connected, one is unplugged for three seconds. */
import assert from "node:assert/strict";
import { Page, Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const run = await stage.submit("release", "build", "test", "ship");
  const [whole, cut] = [new Page(), new Page()];
  cut.onMessage = ({ event, data, id }) => {
    const { type, job, runs = [], jobs = [], run: one } = JSON.parse(data);
    const rows = [...runs, ...(event === "snapshot" && one ? [one] : []), ...jobs];
    const what = event === "fact" ? `${type} ${job}`
      : rows.map((row) => `${row.name ?? row.id} ${row.status}`).join(", ");
    const number = id === "" ? "" : `id ${id}`;
    stage.say("page", `${number.padEnd(6)} ${event.padEnd(9)} ${what}`.trimEnd());
  };
  whole.connect(stage.hub, [run]);
  cut.connect(stage.hub, [run]);
  await stage.pass(2500);
  cut.unplug();
  stage.say("", `── unplugged; the page shows ${cut.show(run)}`);
  await stage.pass(3000);
  stage.say("", `── plugged in again, with Last-Event-ID: ${cut.lastId}`);
  cut.connect(stage.hub, [run]);
  await stage.pass(1500);
  stage.say("", `── the page shows ${cut.show(run)}`);
  assert.deepEqual(cut.state.jobs, whole.state.jobs);
  assert.deepEqual(cut.state.runs, whole.state.runs);
  assert.deepEqual(cut.of("fact"), whole.of("fact"));
  console.log("Both pages have the same rows, and have heard the same facts, once each, in order.");
});
