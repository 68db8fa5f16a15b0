/**
 * "Research three ways of computing pi": an assistant without a model. What a model would say is in
 * assistant.jsonl; the calls are real. It starts `titan mcp` and speaks the protocol as any client.
 *
 *     TITAN_MASTER=127.0.0.1:9090 node lessons/20-mcp/examples/assistant.mjs [titan mcp …]
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [program, ...args] = process.argv.length > 2 ? process.argv.slice(2) : ["titan", "mcp"];
const server = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
const waiting = new Map();
/** The last that was said of the request under way. */
let progress;
createInterface({ input: server.stdout }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.method === "notifications/progress") {
    progress = message.params;
    return;
  }
  waiting.get(message.id)?.(message);
});

const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": { name: "scripted", version: "1" },
};
let lastId = 0;
function ask(method, params) {
  const id = ++lastId;
  const _meta = { ...meta, ...(params.name === "wait_run" && { progressToken: id }) };
  server.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta } })}\n`);
  return new Promise((resolve) => waiting.set(id, resolve));
}

// What a call needs and the script cannot know: ids of this run.
let run = "";
for (const line of readFileSync(here("assistant.jsonl"), "utf8").split("\n").filter(Boolean)) {
  const turn = JSON.parse(line);
  if (turn.person) console.log(`person     ${turn.person}`);
  if (turn.says) console.log(`assistant  ${turn.says}`);
  if (!turn.tool) continue;
  const given = { ...turn.arguments, ...(turn.file && { yaml: readFileSync(here(turn.file), "utf8") }) };
  const filled = JSON.parse(JSON.stringify(given).replaceAll("$RUN", run));
  console.log(`assistant  calls ${turn.tool}`);
  const { result, error } = await ask("tools/call", { name: turn.tool, arguments: filled });
  if (error || result.isError) throw new Error(error?.message ?? result.content[0].text);
  if (progress !== undefined) console.log(`titan      … progress ${progress.progress} of ${progress.total}`);
  progress = undefined;
  run ||= result.structuredContent.run;
  for (const text of result.content[0].text.split("\n").filter(Boolean)) console.log(`titan      ${text}`);
}
server.stdin.end();
