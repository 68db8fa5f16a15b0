// Fails on its first attempt, as things do that ask a service which is just starting.
import { writeFileSync } from "node:fs";

if (process.env.TITAN_ATTEMPT === "1") {
  console.error("connection refused (the demo fails here on purpose: it will be tried again)");
  process.exit(1);
}
const words = `
  the of to and in is it that for not with as are on be by an or if its from this one has at
  what which no so would can was but when than they there how will who were have had been their
  we you your these those then more all any each other into out up only also may does do did
  after before over same first two new
`.trim().split(/\s+/);
writeFileSync(process.env.TITAN_OUTPUT, JSON.stringify(words));
console.log(`attempt ${process.env.TITAN_ATTEMPT}: ${words.length} words that say nothing`);
