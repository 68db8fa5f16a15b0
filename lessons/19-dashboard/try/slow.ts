/** A page that stops reading, while 2,400 runs with long names are submitted. */
import assert from "node:assert/strict";
import { Page, Stage } from "../stage.ts";

const NAME = "a".repeat(100);

await Stage.run(async (stage) => {
  const [quick, slow] = [new Page(), new Page()];
  quick.connect(stage.hub);
  slow.connect(stage.hub);
  await stage.pass(500);
  slow.pause();
  let most = 0;
  for (let n = 0; n < 60; n++) {
    await Promise.all(Array.from({ length: 40 }, () => stage.submit(NAME, "work")));
    await stage.pass(100);
    most = Math.max(most, slow.unread);
  }
  await stage.pass(1000);
  const report = (name: string, page: Page): void => {
    const counts = ["snapshot", "fact", "rows"].map((event) => `${event} ${page.of(event).length}`);
    stage.say(name, `${counts.join(", ")}; knows ${page.state.runs?.size} runs`);
  };
  report("quick", quick);
  report("slow", slow);
  stage.say("slow", `${Math.floor(most / 1024)} KiB waited for it at most; now it reads`);
  slow.resume();
  await stage.pass(1000);
  report("slow", slow);
  assert.equal(slow.lastId, quick.lastId);
  assert.deepEqual([...slow.state.runs!.keys()].sort(), [...quick.state.runs!.keys()].sort());
});
