/**
 * `titan kv`: one command of the store, from a shell. Lesson 15 is about the store that answers.
 *
 * Test: test/cli.store.test.ts
 */
import { replyJson } from "#rows";
import type { Argument, Value } from "#store";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { printReply } from "../kv-reply.ts";
import { outsideStore, STORE_FLAG } from "../store-url.ts";
import { meantHint } from "../text.ts";

/** The largest value of a store. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024;
/** A person waits, as for a master. */
const PATIENCE_MS = 5000;
/**
 * BLPOP, BRPOP, and commands that only a Redis has: they may wait for as long as they were told to,
 * and say nothing meanwhile.
 */
const PATIENT = /^(?:B[LRZ]|XREAD|WAIT)/i;
/** Each begins something that lasts as long as its connection, which ends with the answer. */
const CONVERSATIONS: ReadonlySet<string> = new Set([
  "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH",
  "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE",
  "MONITOR", "HELLO", "AUTH", "RESET", "QUIT",
]);
const WORDS = [
  "get", "set", "del", "exists", "incr", "incrby", "expire", "ttl", "keys", "mget", "mset",
  "sadd", "srem", "smembers", "hset", "hget", "hgetall", "lpush", "rpush", "lpop", "lrange",
  "publish",
];
/** Errors of the client, and not of the store: their exit codes. */
const EXITS: Readonly<Record<string, number>> = {
  UNREACHABLE: EXIT.UNREACHABLE,
  LOST: EXIT.UNREACHABLE,
  WRONGPASS: EXIT.UNAUTHORIZED,
  NOAUTH: EXIT.UNAUTHORIZED,
};

type Args = [string, ...Argument[]];

export const kv: Command = {
  name: "kv",
  summary: "ask the store: get, set, incr, sadd, …",
  usage: "COMMAND [ARGUMENT...]",
  args: [1, Infinity],
  flags: STORE_FLAG,
  dashArgs: true,
  words: WORDS,
  notes: [
    "COMMAND is one of Redis's. With --store or TITAN_STORE, which every job has, it goes " +
      "straight to the store; otherwise, or with --master, through the master, which passes the " +
      "usual commands on strings, keys, sets, hashes and lists. What waits (BLPOP), and what " +
      "only a real Redis has (ZADD), needs --store.",
    "Values are printed as they are, with a line end; a list has a line per element, a map two. " +
      "What is not there prints nothing, says (nil) on stderr, and exits 1.",
    "A last argument of - is read from stdin, every byte of it. Numbers may be negative; " +
      "behind -- everything is an argument, also - and --json.",
    "Exit codes: 0 answered · 1 (nil), or the store refused · 4 wrong password or token · " +
      "5 master or store unreachable.",
  ],
  examples: [
    "titan kv set greeting hello",
    "titan kv incrby visits -5",
    "titan kv smembers seen --json",
    "titan kv set model - < model.bin",
    "titan kv --store redis://10.0.0.7:6379 get greeting",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const args = await argsOf(call);
    const value = await ask(call, args).catch(async (error: Error) => {
      throw await explained(error, args[0].toUpperCase());
    });
    if (call.json) context.json(replyJson(value));
    else if (value === null) context.note("(nil)");
    else await printReply(value, (bytes) => context.pour("stdout", bytes));
    return value === null ? EXIT.ERROR : EXIT.OK;
  },
};

async function argsOf(call: Call): Promise<Args> {
  const [name, ...rest] = call.args as Args;
  if (!/^[A-Za-z]{1,32}$/.test(name)) {
    throw new UsageError(
      `Cannot run titan kv: "${name}" is no command of a store`,
      "such as: titan kv set greeting hello",
    );
  }
  if (CONVERSATIONS.has(name.toUpperCase())) {
    throw new UsageError(
      `Cannot run titan kv ${name}: its connection must stay open, and titan kv sends one command`,
      "redis-cli -p PORT keeps one open",
    );
  }
  // Bytes that are not UTF-8 have become U+FFFD before we see them: two keys would be one.
  const spoiled = rest.findIndex((arg) => (arg as string).includes("\uFFFD"));
  if (spoiled >= 0) {
    throw new UsageError(
      `Cannot run titan kv ${name}: argument ${spoiled + 1} is not UTF-8`,
      "a last argument of - is read from stdin, whatever its bytes",
    );
  }
  // Behind "--" the argument is a dash.
  if (rest.at(-1) !== "-" || call.literal) return [name, ...rest];
  return [name, ...rest.slice(0, -1), await readStdin()];
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_STDIN_BYTES) {
      throw new CliError(
        EXIT.ERROR,
        `Cannot read the value from stdin: it is longer than ${MAX_STDIN_BYTES} bytes`,
      );
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** A flag beats the environment, and in the environment the store beats the master. */
async function ask(call: Call, args: Args): Promise<Value> {
  const { context } = call;
  if (call.on("store") && call.on("master")) {
    throw new UsageError(
      "Cannot run titan kv with --store and --master: the one asks a store, the other a master",
    );
  }
  const url = call.on("master") ? undefined : await outsideStore(call);
  if (url === undefined) return (await openClient(call)).kvBuffers(...args);
  const { StoreClient } = await import("#store");
  const client = await StoreClient.connect({
    host: context.host,
    url,
    buffers: true,
    patienceMs: PATIENCE_MS,
    ...(PATIENT.test(args[0]) && { silenceMs: 0 }),
  });
  context.onExit(() => client.close());
  return client.call(...args);
}

async function explained(error: Error, name: string): Promise<Error> {
  if (error.name !== "StoreError") return error;
  const { code } = error as Error & { code: string };
  if (code === "NOAUTH") {
    return new CliError(EXIT.UNAUTHORIZED, `Cannot ${name}: the store wants a password`, {
      advice: "TITAN_STORE_PASSWORD has it, or the URL: redis://:PASSWORD@HOST:PORT",
      cause: error,
    });
  }
  // A master's answer begins with the code; a connection begins with a PING of its own.
  const message = error.message
    .replace(/^[A-Z]+ (?=Cannot )/, "")
    .replace(/^Cannot call PING:/, `Cannot call ${name}:`);
  const isRefused = code === "REFUSED";
  const advice = isRefused ? "titan kv --store redis://HOST:PORT asks a store itself" : undefined;
  const hint = isRefused || /unknown command/.test(message) ? await hintFor(name) : "";
  const text = message.startsWith("Cannot ") ? message : `Cannot ${name}: ${message}`;
  return new CliError(EXITS[code] ?? EXIT.ERROR, `${text}${hint}`, { advice, cause: error });
}

async function hintFor(name: string): Promise<string> {
  const { GATEWAY_COMMANDS } = await import("#store");
  return GATEWAY_COMMANDS.has(name) ? "" : meantHint(name, [...GATEWAY_COMMANDS]);
}
