/** A real `titan up`, a run, and what `curl -N …/api/v1/events` sees: at the start, and after a gap. */
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt, ROOT } from "../../../scripts/bootstrap.mjs";
import { removeTreeSync } from "../../../scripts/lib/remove-tree.mjs";

await ensureBuilt();
const folder = mkdtempSync(join(tmpdir(), "titan-lesson-19-"));
const titan = spawn(process.execPath, [
  join(ROOT, "dist", "cli", "main.js"), "up", "--json", "--port", "0", "--http", "0",
  "--workers", "1", "--no-store", "--state", join(folder, "state"),
], { stdio: ["ignore", "pipe", "pipe"] });
const ended = new Promise((resolve) => titan.on("exit", resolve));
const first = (stream: NodeJS.ReadableStream, what: RegExp): Promise<string> => new Promise((resolve) => {
  let text = "";
  stream.on("data", (piece) => {
    text += piece;
    if (what.test(text)) resolve(text);
  });
});
const [ready] = await Promise.all([first(titan.stdout, /\n/), first(titan.stderr, /registered/)]);
const url: string = JSON.parse(ready.split("\n")[0]!).http;

/** Reads the stream until `last` has come, and gives it as it came. */
async function curl(last: RegExp, { id, isShown = true }: { id?: number; isShown?: boolean } = {}): Promise<string> {
  const header = id === undefined ? "" : ` -H 'Last-Event-ID: ${id}'`;
  if (isShown) console.log(`── curl -N${header} 'http://127.0.0.1:9080/api/v1/events?facts=all'`);
  const answer = await fetch(`${url}/api/v1/events?facts=all`, {
    headers: { connection: "close", ...(id !== undefined && { "last-event-id": `${id}` }) },
  });
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
    text += decoder.decode(piece, { stream: true });
    if (last.test(text) && text.endsWith("\n\n")) break;
  }
  return text;
}

/** Without what differs from run to run, and not further than a page is wide. */
function show(text: string): void {
  const lines = text.trimEnd().replace(/\d{13}/g, "…").replace(/hello-\w{4}\b/g, "hello-…").split("\n");
  console.log(lines.map((line) => (line.length > 100 ? `${line.slice(0, 99)}…` : line)).join("\n"));
}

try {
  const start = await curl(/event: snapshot/);
  show(start);
  const id = Number(/^id: (\d+)$/m.exec(start)![1]);
  console.log("── titan run hello.yaml");
  await fetch(`${url}/api/v1/runs`, {
    method: "POST", headers: { "titan-request": "1", "content-type": "application/yaml" },
    body: "name: hello\njobs:\n  - {id: greet, run: echo hello}\n",
  });
  await curl(/"status":"COMPLETED"/, { isShown: false });
  show(await curl(/JobSucceeded/, { id }));
} finally {
  titan.kill();
  await ended;
  removeTreeSync(folder);
}
