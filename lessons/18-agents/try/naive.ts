/** An agent as a program that is started again when it dies. It plans, books, describes and mails. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { World } from "../world.ts";

const url = process.argv[2];
if (url === undefined) await supervise();
else {
  const headers = { "x-pid": String(process.pid) };
  for (const what of ["plan", "book", "describe", "mail"]) await fetch(`${url}/${what}`, { headers });
}

async function supervise(): Promise<void> {
  const world = new World({ killAt: 3 });
  const address = await world.open();
  for (let attempt = 1; ; attempt++) {
    console.log(`attempt ${attempt}`);
    const argv = [...process.execArgv, fileURLToPath(import.meta.url), address];
    const [code] = await once(spawn(process.execPath, argv), "exit");
    if (code === 0) break;
  }
  world.close();
}
