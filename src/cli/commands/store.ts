/** `titan store`: TitanStore in a process of its own, and what it holds as a file for Redis. Lesson 15. */
import { closeSync, openSync, readSync } from "node:fs";
import { join, resolve } from "node:path";
import { storeUrl } from "#wire";
import { dialable, hostPort, isLoopback } from "#base";
import type { Address } from "#host";
import { parseAddress } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { shortPath, tornText } from "../serve.ts";
import type { ServedStore, ServeStoreOptions } from "#cluster";
import { fullText, trouble, troubleAdvice, troubleText } from "#cluster";
import { DEFAULT_STORE_PORT } from "../store-url.ts";
import { plural } from "../text.ts";

/** Nobody's password; and a file without an end must not fill the memory. */
const MAX_PASSWORD_BYTES = 4096;

export const store: Command = {
  name: "store",
  summary: "run a store that Redis's clients can talk to, or dump one",
  usage: "[dump]",
  args: [0, 1],
  words: ["dump"],
  flags: {
    host: { type: "string", value: "ADDRESS", summary: "where to listen (default 127.0.0.1; anything else needs a password)" },
    port: { type: "string", value: "PORT", summary: `default ${DEFAULT_STORE_PORT}; 0 takes any free one and says which` },
    state: { type: "string", value: "DIR", summary: "folder of its log (default store in TITAN_HOME, else .titan/store)" },
    memory: { type: "boolean", summary: "nothing on disk: what it holds ends with it" },
    maxmemory: {
      type: "string", value: "SIZE",
      summary: "refuse to hold more data, as 500mb or 2gb (default: as much as node's heap takes)",
    },
    durability: {
      type: "string", value: "WHEN", values: ["always", "everysec", "no"],
      summary: "fsync always, everysec (default), or no: what a power cut may cost",
    },
    "password-file": { type: "string", value: "FILE", summary: "its password, the first line of a file (default TITAN_STORE_PASSWORD)" },
    "replica-of": { type: "string", value: "HOST:PORT", summary: "copy that store, follow it, and refuse writes" },
    resp: { type: "boolean", summary: "dump: as Redis's own commands, which is the only form so far" },
    out: { type: "string", short: "o", value: "FILE", summary: "dump: into a file (default stdout)" },
  },
  notes: [
    "redis-cli, redis-benchmark and every client library for Redis can use it. For jobs of a cluster: titan master --store redis://HOST:PORT, or titan up --store ….",
    "A password is never a flag, since other users of this machine can read command lines. A replica's primary has the same one, or that in TITAN_STORE_PRIMARY_PASSWORD.",
    "titan store dump --resp writes all that a store's folder holds in a form that an empty redis-server loads as its append-only file, or by redis-cli --pipe. What a store that runs writes meanwhile is missing.",
  ],
  examples: ["titan store", "TITAN_STORE_PASSWORD=… titan store --host 0.0.0.0 --durability always", "titan store --port 9380 --state copy --replica-of 10.0.0.7:9379", "titan store dump --resp -o dump.aof"],
  async run(call: Call) {
    const [action] = call.args;
    if (action === undefined) return serve(call);
    if (action === "dump") {
      refuseFlags(call, [
        "host",
        "port",
        "memory",
        "maxmemory",
        "durability",
        "password-file",
        "replica-of",
      ]);
      return import("../store-dump.ts").then(({ dump }) => dump(call, stateOf(call)));
    }
    throw new UsageError(`Cannot run titan store ${action}: there is titan store, which runs one, and titan store dump`);
  },
};

function refuseFlags(call: Call, flags: readonly string[]): void {
  const [here, there] = call.args.length > 0 ? ["titan store dump", "titan store"] : ["titan store", "titan store dump"];
  const found = flags.find((flag) => call.on(flag));
  if (found !== undefined) throw new UsageError(`Cannot run ${here} with --${found}: this is a flag of ${there}`);
}

async function serve(call: Call): Promise<number> {
  const { context } = call;
  refuseFlags(call, ["out", "resp"]);
  const options = { ...optionsOf(call), maxMemory: await maxMemoryOf(call) };
  let end: (fatal?: Error) => void = () => undefined;
  const ended = new Promise<Error | undefined>((resolve) => { end = resolve; });
  const loading = new AbortController();
  context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    context.note("titan: stopping (Ctrl-C again stops at once)");
    loading.abort(); // a replay has promised nothing: it need not be waited for
    end();
  });
  const { serveStore } = await import("#cluster");
  let served: ServedStore;
  try {
    served = await serveStore({
      ...options, host: context.host, onFatal: end, signal: loading.signal,
      onFull: (why) => context.note(`titan: ${fullText(why)}`),
      onTrouble: (from, why) => context.note(`titan: ${why === undefined ? `follows ${hostPort(from)}` : `cannot follow ${hostPort(from)} yet: ${why.replace(/\s+/g, " ").trim()}`}`),
    });
  } catch (error) {
    if (loading.signal.aborted) return EXIT.OK;
    throw explained(error as Error, options);
  }
  context.onExit(() => served.close()); // also when announcing fails
  announce(call, served, options);
  const fatal = await ended;
  if (fatal === undefined) return await served.close(), EXIT.OK;
  throw new CliError(EXIT.ERROR, `The store has stopped: ${fatal.message}`, { cause: fatal });
}

function optionsOf(call: Call): ServeStoreOptions {
  const listen: Address = { host: call.text("host") ?? "127.0.0.1", port: call.count("port", { min: 0, max: 65_535 }) ?? DEFAULT_STORE_PORT };
  const durability = call.text("durability") ?? "everysec";
  if (durability !== "always" && durability !== "everysec" && durability !== "no") throw new UsageError(`Cannot use --durability ${durability}: must be always, everysec or no`);
  const onDisk = ["state", "durability"].find((flag) => call.on(flag));
  if (call.on("memory") && onDisk !== undefined) throw new UsageError(`Cannot run titan store with --memory and --${onDisk}: the one keeps nothing on disk, the other says how`);
  const password = passwordOf(call);
  if (!isLoopback(listen.host) && password === undefined) {
    throw new UsageError(`Cannot listen on ${listen.host}: anybody there could read and change everything`, "give a password in TITAN_STORE_PASSWORD or --password-file FILE, or listen on 127.0.0.1");
  }
  const followed = call.text("replica-of");
  return {
    listen, durability, password,
    dir: call.on("memory") ? undefined : stateOf(call),
    ...(followed !== undefined && { replicaOf: primary(followed), primaryPassword: call.context.setting("TITAN_STORE_PRIMARY_PASSWORD") ?? password }),
  };
}

async function maxMemoryOf(call: Call): Promise<number | undefined> {
  const text = call.text("maxmemory");
  if (text === undefined) return undefined;
  const { memoryCeiling, parseMemory } = await import("#store");
  const bytes = parseMemory(text);
  if (bytes === undefined) {
    throw new UsageError(
      `Cannot use --maxmemory ${text}: it is a number of bytes, or one with kb, mb or gb`,
    );
  }
  const most = memoryCeiling();
  if (bytes <= most) return bytes;
  throw new UsageError(
    `Cannot use --maxmemory ${text}: this process holds at most ${most} bytes of data`,
    "NODE_OPTIONS=--max-old-space-size=MiB gives it a larger heap; the data may fill six tenths",
  );
}

function stateOf(call: Call): string {
  const state = call.text("state");
  return state === undefined ? join(call.context.home, "store") : resolve(state);
}

function primary(text: string): Address {
  return parseAddress(/^(?:\d+|.*:\d+)$/.test(text) ? text : `${text}:${DEFAULT_STORE_PORT}`, "--replica-of");
}

/** From a file or the environment; a flag would show it to everybody. */
function passwordOf(call: Call): string | undefined {
  const file = call.text("password-file");
  if (file === undefined) return call.context.setting("TITAN_STORE_PASSWORD");
  let line: string;
  try {
    line = firstLineOf(file);
  } catch (error) {
    throw new CliError(EXIT.ERROR, `Cannot read --password-file ${file}: ${(error as Error).message}`, { cause: error });
  }
  if (line === "" || Buffer.byteLength(line) > MAX_PASSWORD_BYTES) throw new CliError(EXIT.ERROR, `Cannot use --password-file ${file}: its first line is ${line === "" ? "empty" : "too long"}`);
  return line;
}

/** Or what is there of it after a little more than a password has room in. A pipe comes in pieces. */
function firstLineOf(file: string): string {
  const bytes = Buffer.alloc(MAX_PASSWORD_BYTES + 2); // its line end, of two bytes at most
  const fd = openSync(file, "r");
  try {
    let filled = 0;
    while (filled < bytes.length && !bytes.subarray(0, filled).includes("\n")) {
      const read = readSync(fd, bytes, filled, bytes.length - filled, null);
      if (read === 0) break;
      filled += read;
    }
    return bytes.toString("utf8", 0, filled).split(/\r?\n/, 1)[0]!;
  } finally {
    closeSync(fd);
  }
}

function explained(error: Error, options: ServeStoreOptions): Error {
  const found = trouble(error);
  const advice = found.code === "EADDRINUSE" ? "--port PORT takes another one; the store of a titan up may be there" : troubleAdvice(found, options);
  return new CliError(EXIT.ERROR, `Cannot start the store: ${troubleText(found, options)}`, { advice, cause: error });
}

function announce(call: Call, served: ServedStore, { dir, durability, replicaOf }: ServeStoreOptions): void {
  const { context } = call;
  const { host, port, recovered } = served;
  const url = storeUrl(served);
  if (call.json) {
    return context.json({ type: "ready", role: "store", store: url, host, port, state: dir, durability: dir === undefined ? undefined : durability, replicaOf: replicaOf && hostPort(replicaOf), pid: process.pid, recovered });
  }
  const place = dir === undefined ? "in memory only" : `state in ${shortPath(dir)}`;
  context.out(`titan: store at ${hostPort(served)}${replicaOf === undefined ? "" : `, replica of ${hostPort(replicaOf)}`}, ${place}`);
  if (recovered.keys + recovered.tornBytes > 0) context.out(`titan: recovered ${plural(recovered.keys, "key")}${tornText(recovered)}`);
  for (const damage of recovered.ignored) context.note(`titan: warning: ${damage}`);
  const from = storeUrl({ host: dialable(host), port });
  context.out(`  next: redis-cli -p ${port}   or: titan kv --store ${from} ${replicaOf === undefined ? "set KEY VALUE" : "get KEY"}   Ctrl-C stops`);
}
