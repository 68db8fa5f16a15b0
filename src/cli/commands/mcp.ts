/**
 * `titan mcp`: Titan for assistants, on stdin and stdout, or over HTTP. Chapter 20 is about it.
 *
 * Invariants: nothing but JSON-RPC gets to stdout, whoever prints, also in a crash; the end of
 * stdin is the end of the process.
 * Test: test/20-mcp.stdio.test.ts
 */
import { setFlagsFromString } from "node:v8";
import { hostPort } from "#base";
import { VERSION } from "#host";
import type { DispatcherOptions } from "#mcp";
import type { Client } from "#sdk";
import { DEFAULT_MASTER, namedMaster, tokenOf } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { lazyMcp } from "../mcp-door.ts";
import { meantHint } from "../text.ts";

/**
 * New objects get the room that they have at first, and no more. V8 would give them sixteen times
 * as much for a list of tools, and keep it: 5 MB, in each of the windows that have a server each.
 */
const SMALL_NURSERY = "--semi-space-growth-factor=1";

/** From the end of stdin to our own, at most: half of what clients allow before they kill. */
const GRACE_MS = 2000;

export const mcp: Command = {
  name: "mcp",
  summary: "serve an assistant: the Model Context Protocol on stdin and stdout",
  usage: "",
  args: [0, 0],
  flags: {
    http: {
      type: "string",
      value: "PORT",
      summary: "over HTTP instead, at http://127.0.0.1:PORT/mcp (0: any free port)",
    },
    "http-host": {
      type: "string",
      value: "NAME[:PORT]",
      many: true,
      summary: "with --http: another name by which clients reach it",
    },
    "read-only": { type: "boolean", summary: "only tools that change nothing" },
    allow: { type: "string", value: "TOOL,TOOL", summary: "only these tools" },
    "allow-approve": {
      type: "boolean",
      summary: "the assistant may approve gates and raise budgets by itself",
    },
  },
  notes: [
    "Clients start it themselves: claude mcp add titan -- titan mcp. docs/mcp.md has the " +
      "configuration for others. It finds its master as all commands do (--master, " +
      "TITAN_MASTER), looks for it when a tool is used, and ends with its client.",
    "Approving a gate asks the person in front of the client. Where the client cannot ask, the " +
      "tool says which command the person types. --allow-approve leaves both out.",
    "titan up --http PORT serves the same at /mcp.",
  ],
  examples: [
    "titan mcp",
    "titan mcp --read-only",
    "titan mcp --allow list_runs,get_run,get_job_logs",
    "titan mcp --http 9070",
  ],
  run: async (call) => (call.on("http") ? overHttp(call) : overPipe(call)),
};

async function optionsOf(call: Call): Promise<Omit<DispatcherOptions, "session">> {
  const { context } = call;
  const master = namedMaster(call);
  const allow = call.text("allow")?.split(",").map((name) => name.trim());
  if (allow !== undefined) await checkTools(allow);
  return {
    host: context.host, version: VERSION, folder: process.cwd(), allow,
    readOnly: call.on("read-only"), allowApprove: call.on("allow-approve"),
    master: master === undefined ? "" : hostPort(master),
  };
}

async function checkTools(names: readonly string[]): Promise<void> {
  const { TOOL_NAMES } = await import("#mcp");
  const unknown = names.find((name) => !TOOL_NAMES.includes(name));
  if (unknown === undefined) return;
  const hint = meantHint(unknown, TOOL_NAMES);
  throw new UsageError(`Cannot use --allow ${unknown}: there is no such tool${hint}`);
}

/** One session with the master for all calls, and another one when it breaks. */
function sessions(call: Call): () => Promise<Client> {
  const master = namedMaster(call) ?? DEFAULT_MASTER;
  const token = tokenOf(call);
  let current: Promise<Client> | undefined;
  return async () => {
    const known = current;
    const client = await known?.catch(() => undefined);
    if (client !== undefined && !client.closed) return client;
    if (current === known) {
      const { loadHeavy } = await import("#mcp");
      const { connect } = await loadHeavy();
      // Somebody else may have dialled while this was loaded.
      if (current === known) {
        const { host } = call.context;
        current = connect({ host, master, token, version: VERSION });
        current.then((opened) => opened.keepAlive(false)).catch(() => undefined);
      }
    }
    return current!;
  };
}

async function overPipe(call: Call): Promise<number> {
  setFlagsFromString(SMALL_NURSERY);
  const { stdin, stdout, stderr } = process;
  // From here on all that is printed is meant for a person.
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr) as typeof stdout.write;
  const options = await optionsOf(call);
  const session = sessions(call);
  const { mcpOverLines } = await import("#mcp");
  const connection = mcpOverLines({ ...options, session }, (line) => {
    // A client that does not read its answers gets no chance to ask for more.
    if (!write(`${line}\n`)) {
      stdin.pause();
      stdout.once("drain", () => stdin.resume());
    }
  });
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  call.context.onInterrupt(() => end());
  stdin.on("data", (chunk: Buffer) => connection.take(chunk)).on("end", end).on("error", end);
  await ended;
  // A client may send a few requests, close the pipe, and still read.
  await connection.settled(GRACE_MS);
  connection.close();
  stdin.destroy();
  return EXIT.OK;
}

async function overHttp(call: Call): Promise<number> {
  const { context } = call;
  const port = call.count("http", { min: 0, max: 65_535 })!;
  const options = await optionsOf(call);
  const { HttpDoor } = await import("#http");
  const master = namedMaster(call) ?? DEFAULT_MASTER;
  const door: InstanceType<typeof HttpDoor> = new HttpDoor({
    host: context.host, master, token: tokenOf(call), version: VERSION,
    listen: { host: DEFAULT_MASTER.host, port }, names: call.texts("http-host"),
    mounts: { "/mcp": lazyMcp(() => door, options) }, mountsOnly: true,
  });
  context.onExit(() => door.close());
  const ended = new Promise<void>((resolve) => context.onInterrupt(() => resolve()));
  try {
    await door.open();
  } catch (error) {
    const found = (error as Error).message;
    throw new CliError(EXIT.ERROR, `Cannot serve HTTP at port ${port}: ${found}`, { cause: error });
  }
  const url = `${door.url}/mcp`;
  if (call.json) context.json({ type: "ready", role: "mcp", http: url, pid: process.pid });
  else context.out(`titan: MCP at ${url}`);
  await ended;
  return EXIT.OK;
}
