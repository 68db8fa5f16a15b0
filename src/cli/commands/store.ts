/**
 * `titan store`: TitanStore in a process of its own, and its content as a file for Redis.
 * Lesson 15.
 *
 * Test: test/cli.store.test.ts
 */
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
import { DEFAULT_STORE_PORT } from "../store-url.ts";
import { plural } from "../text.ts";

/** No password is longer; and a file without an end must not fill the memory. */
const MAX_PASSWORD_BYTES = 4096;

export const store: Command = {
  name: "store",
  summary: "run a store that Redis's clients can talk to, or dump one",
  usage: "[dump]",
  args: [0, 1],
  words: ["dump"],
  flags: {
    host: {
      type: "string",
      value: "ADDRESS",
      summary: "where to listen (default 127.0.0.1; anything else needs a password)",
    },
    port: {
      type: "string",
      value: "PORT",
      summary: `default ${DEFAULT_STORE_PORT}; 0 takes any free one and says which`,
    },
    state: {
      type: "string",
      value: "DIR",
      summary: "folder of its log (default store in TITAN_HOME, else .titan/store)",
    },
    memory: { type: "boolean", summary: "nothing on disk: what it holds ends with it" },
    maxmemory: {
      type: "string",
      value: "SIZE",
      summary: "refuse to hold more data, as 500mb or 2gb (default: as much as node's heap takes)",
    },
    durability: {
      type: "string",
      value: "WHEN",
      values: ["always", "everysec", "no"],
      summary: "fsync always, everysec (default), or no: what a power cut may cost",
    },
    "password-file": {
      type: "string",
      value: "FILE",
      summary: "its password, the first line of a file (default TITAN_STORE_PASSWORD)",
    },
    "replica-of": {
      type: "string",
      value: "HOST:PORT",
      summary: "copy that store, follow it, and refuse writes",
    },
    resp: {
      type: "boolean",
      summary: "dump: as Redis's own commands, which is the only form so far",
    },
    out: {
      type: "string",
      short: "o",
      value: "FILE",
      summary: "dump: into a file (default stdout)",
    },
  },
  notes: [
    "redis-cli, redis-benchmark and every client library for Redis can use it. For jobs of a " +
      "cluster: titan master --store redis://HOST:PORT, or titan up --store ….",
    "A password is never a flag, since other users of this machine can read command lines. " +
      "A replica's primary has the same one, or that in TITAN_STORE_PRIMARY_PASSWORD.",
    "titan store dump --resp writes all that a store's folder holds in a form that an empty " +
      "redis-server loads as its append-only file, or by redis-cli --pipe. What a store that " +
      "runs writes meanwhile is missing.",
  ],
  examples: [
    "titan store",
    "TITAN_STORE_PASSWORD=… titan store --host 0.0.0.0 --durability always",
    "titan store --port 9380 --state copy --replica-of 10.0.0.7:9379",
    "titan store dump --resp -o dump.aof",
  ],
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
    throw new UsageError(
      `Cannot run titan store ${action}: ` +
        "there is titan store, which runs one, and titan store dump",
    );
  },
};

function refuseFlags(call: Call, flags: readonly string[]): void {
  const both = ["titan store dump", "titan store"];
  const [here, there] = call.args.length > 0 ? both : both.toReversed();
  const found = flags.find((flag) => call.on(flag));
  if (found === undefined) return;
  throw new UsageError(`Cannot run ${here} with --${found}: this is a flag of ${there}`);
}

async function serve(call: Call): Promise<number> {
  const { context } = call;
  refuseFlags(call, ["out", "resp"]);
  const options = { ...optionsOf(call), maxMemory: await maxMemoryOf(call) };
  let end: (fatal?: Error) => void = () => undefined;
  const ended = new Promise<Error | undefined>((resolve) => {
    end = resolve;
  });
  const loading = new AbortController();
  context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    context.note("titan: stopping (Ctrl-C again stops at once)");
    loading.abort(); // a replay has promised nothing: it need not be waited for
    end();
  });
  const { fullText, serveStore } = await import("#cluster");
  let served: ServedStore;
  try {
    served = await serveStore({
      ...options,
      host: context.host,
      onFatal: end,
      signal: loading.signal,
      onFull: (why) => context.note(`titan: ${fullText(why)}`),
      onLinkError: (from, why) => context.note(`titan: ${followText(hostPort(from), why)}`),
    });
  } catch (error) {
    if (loading.signal.aborted) return EXIT.OK;
    throw await explained(error as Error, options);
  }
  context.onExit(() => served.close()); // also when announcing fails
  announce(call, served, options);
  const fatal = await ended;
  if (fatal !== undefined) {
    throw new CliError(EXIT.ERROR, `The store has stopped: ${fatal.message}`, { cause: fatal });
  }
  await served.close();
  return EXIT.OK;
}

/** `why`: the reason why the primary cannot be followed; undefined: it is followed. */
function followText(primary: string, why: string | undefined): string {
  if (why === undefined) return `follows ${primary}`;
  return `cannot follow ${primary} yet: ${why.replace(/\s+/g, " ").trim()}`;
}

function optionsOf(call: Call): ServeStoreOptions {
  const listen: Address = {
    host: call.text("host") ?? "127.0.0.1",
    port: call.count("port", { min: 0, max: 65_535 }) ?? DEFAULT_STORE_PORT,
  };
  const durability = durabilityOf(call);
  const onDisk = ["state", "durability"].find((flag) => call.on(flag));
  if (call.on("memory") && onDisk !== undefined) {
    throw new UsageError(
      `Cannot run titan store with --memory and --${onDisk}: ` +
        "the one keeps nothing on disk, the other says how",
    );
  }
  const password = passwordOf(call);
  if (!isLoopback(listen.host) && password === undefined) {
    throw new UsageError(
      `Cannot listen on ${listen.host}: anybody there could read and change everything`,
      "give a password in TITAN_STORE_PASSWORD or --password-file FILE, or listen on 127.0.0.1",
    );
  }
  const followed = call.text("replica-of");
  const own = { listen, durability, password, dir: call.on("memory") ? undefined : stateOf(call) };
  if (followed === undefined) return own;
  const apart = call.context.setting("TITAN_STORE_PRIMARY_PASSWORD");
  return { ...own, replicaOf: primary(followed), primaryPassword: apart ?? password };
}

function durabilityOf(call: Call): "always" | "everysec" | "no" {
  const text = call.text("durability") ?? "everysec";
  if (text === "always" || text === "everysec" || text === "no") return text;
  throw new UsageError(`Cannot use --durability ${text}: must be always, everysec or no`);
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
  const isWhole = /^(?:\d+|.*:\d+)$/.test(text);
  return parseAddress(isWhole ? text : `${text}:${DEFAULT_STORE_PORT}`, "--replica-of");
}

/** From a file or the environment; a flag would show it to everybody. */
function passwordOf(call: Call): string | undefined {
  const file = call.text("password-file");
  if (file === undefined) return call.context.setting("TITAN_STORE_PASSWORD");
  let line: string;
  try {
    line = firstLineOf(file);
  } catch (error) {
    const why = (error as Error).message;
    throw new CliError(EXIT.ERROR, `Cannot read --password-file ${file}: ${why}`, { cause: error });
  }
  if (line === "" || Buffer.byteLength(line) > MAX_PASSWORD_BYTES) {
    const problem = line === "" ? "empty" : "too long";
    throw new CliError(
      EXIT.ERROR,
      `Cannot use --password-file ${file}: its first line is ${problem}`,
    );
  }
  return line;
}

/** The first line, or its beginning if it is longer than a password. A pipe comes in pieces. */
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

async function explained(error: Error, options: ServeStoreOptions): Promise<Error> {
  const { storeFailure, storeFailureAdvice, storeFailureText } = await import("#cluster");
  const found = storeFailure(error);
  const advice =
    found.code === "EADDRINUSE"
      ? "--port PORT takes another one; the store of a titan up may be there"
      : storeFailureAdvice(found, options);
  return new CliError(EXIT.ERROR, `Cannot start the store: ${storeFailureText(found, options)}`, {
    advice,
    cause: error,
  });
}

function announce(call: Call, served: ServedStore, options: ServeStoreOptions): void {
  const { context } = call;
  const { dir, durability, replicaOf } = options;
  const { host, port, recovered } = served;
  if (call.json) {
    return context.json({
      type: "ready",
      role: "store",
      store: storeUrl(served),
      host,
      port,
      state: dir,
      durability: dir === undefined ? undefined : durability,
      replicaOf: replicaOf && hostPort(replicaOf),
      pid: process.pid,
      recovered,
    });
  }
  const place = dir === undefined ? "in memory only" : `state in ${shortPath(dir)}`;
  const replica = replicaOf === undefined ? "" : `, replica of ${hostPort(replicaOf)}`;
  context.out(`titan: store at ${hostPort(served)}${replica}, ${place}`);
  if (recovered.keys + recovered.tornBytes > 0) {
    context.out(`titan: recovered ${plural(recovered.keys, "key")}${tornText(recovered)}`);
  }
  for (const damage of recovered.ignored) context.note(`titan: warning: ${damage}`);
  const from = storeUrl({ host: dialable(host), port });
  const example = replicaOf === undefined ? "set KEY VALUE" : "get KEY";
  context.out(
    `  next: redis-cli -p ${port}   or: titan kv --store ${from} ${example}   Ctrl-C stops`,
  );
}
