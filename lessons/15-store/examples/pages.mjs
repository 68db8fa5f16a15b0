/** Reads the pages that nobody has read yet, from the last to the first. */
import { setTimeout as sleep } from "node:timers/promises";
import { connectStore } from "titan-orchestrator/store";

const store = await connectStore();
const run = process.env.TITAN_RUN;
let mine = 0;
for (let page = 60; page >= 1; page--) {
  if ((await store.call("SADD", `${run}:taken`, page)) === 0) continue; // somebody has it already
  await sleep(20); // reading
  mine++;
  console.log(`page ${page}; ${await store.call("INCR", `${run}:read`)} of 60 are read`);
}
await store.call("EXPIRE", `${run}:taken`, 3600);
await store.call("EXPIRE", `${run}:read`, 3600);
console.log(`read ${mine} pages`);
store.close();
