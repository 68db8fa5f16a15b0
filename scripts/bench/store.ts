/**
 * TitanStore beside a real redis-server, and alone: how fast a log becomes a keyspace again, and
 * what a million keys weigh.
 *
 * Both servers run all the time, in memory, on loopback; redis-benchmark asks them in turns, and
 * the best round of each counts, so that a neighbour who takes the processor for a while takes it
 * from both.
 */
import { execFile, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { nodeHost } from "#host";
import { openStore, ReplyBuffer, StoreClient } from "#store";
import {
  CLI, firstLine, freePort, inPlace, startSource, type Options, type Place,
} from "./programs.ts";
import { best, grouped, rowOf, type Row } from "./table.ts";

const COMMANDS = ["set", "get", "incr", "sadd", "mset"] as const;
const CLIENTS = 50;
/**
 * Short ones, many times in turns: the best of each then comes from a quiet moment, if there was
 * any.
 */
const ROUNDS = 8;
/**
 * Pipelined, and not. The targets are the project's own: an engine in JavaScript beside one in C.
 */
const MODES = [
  { label: `-c ${CLIENTS}`, args: [], atLeast: 0.8, requests: 20_000 },
  { label: `-c ${CLIENTS} -P 16`, args: ["-P", "16"], atLeast: 0.35, requests: 100_000 },
  // By default the tool uses one key: a server that remembers the last key looks better than it is.
  {
    label: `-c ${CLIENTS} -P 16 -r 100000`, args: ["-P", "16", "-r", "100000"], atLeast: 0.35,
    requests: 100_000,
  },
] as const;

const row = rowOf("store");

export async function store(options: Options): Promise<Row[]> {
  return [...(await besideRedis(options)), ...(await replay(options)), ...(await memory(options))];
}

async function besideRedis({ quick }: Options): Promise<Row[]> {
  const missing = ["redis-benchmark", "redis-server"].filter((program) => !isInstalled(program));
  if (missing.includes("redis-benchmark")) {
    const note = `not measured: ${missing.join(" and ")} not in PATH`;
    return [row("operations beside redis-server", [Number.NaN, "×"], { note })];
  }
  return inPlace(async (place) => {
    const ports = [await startOurs(place)];
    if (missing.length === 0) ports.push(await startRedis(place));
    // lets the compiler finish
    const count = quick ? 10_000 : 100_000;
    for (const port of ports) await operations(port, { command: "set", count, args: [] });
    const rows: Row[] = [];
    for (const mode of MODES) {
      for (const command of COMMANDS) rows.push(await compare(ports, { mode, command, quick }));
    }
    return rows;
  });
}

async function compare(
  ports: readonly number[],
  { mode, command, quick }: {
    mode: (typeof MODES)[number]; command: (typeof COMMANDS)[number]; quick: boolean;
  },
): Promise<Row> {
  const asked = { command, count: quick ? mode.requests / 4 : mode.requests, args: mode.args };
  for (const port of ports) await operations(port, asked);
  const rates = ports.map(() => 0);
  for (let round = 0; round < (quick ? 2 : ROUNDS); round++) {
    for (const [i, port] of ports.entries()) {
      rates[i] = Math.max(rates[i]!, await operations(port, asked));
    }
  }
  const [ours = 0, theirs] = rates;
  const name = `${command.toUpperCase()}${command === "mset" ? " of 10 keys" : ""}, ${mode.label}`;
  if (theirs === undefined) {
    const note = "nothing to compare with: redis-server not in PATH";
    return row(name, [ours, "ops/s"], { note });
  }
  return row(name, [ours / theirs, "×"], {
    target: { atLeast: mode.atLeast },
    note: `${grouped(ours)} ops/s, redis-server ${grouped(theirs)} ops/s`,
  });
}

/** One run of redis-benchmark: operations per second. */
async function operations(
  port: number,
  { command, count, args }: { command: string; count: number; args: readonly string[] },
): Promise<number> {
  const how = ["-p", `${port}`, "-t", command, "-c", `${CLIENTS}`, "-n", `${count}`, "--csv"];
  const all = [...how, ...args];
  const { stdout, stderr } = await promisify(execFile)("redis-benchmark", all);
  // "test","rps","avg_latency_ms",… and then "SET","123456.79","0.201",…
  const rate = Number(/^"[A-Z][^"]*","([0-9.]+)"/m.exec(stdout)?.[1]);
  if (rate > 0) return rate;
  const said = `no rate in its answer\n${stdout}${stderr}`;
  throw new Error(`Cannot measure with redis-benchmark ${all.join(" ")}: ${said}`);
}

/** As people run it. Resolves with its port. */
async function startOurs({ start }: Place): Promise<number> {
  const port = await freePort();
  const { TITAN_STORE_PASSWORD: _, ...env } = process.env;
  const args = [CLI, "store", "--memory", "--port", String(port)];
  return answering(start(process.execPath, args, { env }), port);
}

async function startRedis({ start, dir }: Place): Promise<number> {
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", dir];
  return answering(start("redis-server", [...args, "--appendonly", "no"]), port);
}

async function answering(child: ChildProcess, port: number): Promise<number> {
  const ended = once(child, "exit").then(() => {
    throw new Error(`Cannot measure: the server for port ${port} ended`);
  });
  (await Promise.race([connectTo(port), ended])).close();
  return port;
}

const connectTo = (port: number): Promise<StoreClient> =>
  StoreClient.connect({ host: nodeHost(), url: `redis://127.0.0.1:${port}` });

/** Ten changes of each key in no order: of jobs that know nothing of one another. */
const REPLAY_COMMANDS = 1_000_000;
const REPLAY_KEYS = 100_000;
/**
 * Commands of a turn, and so of a record. Fifty clients that wait for their answers come to about
 * thirty.
 */
const REPLAY_TURN = 10;

async function replay({ quick }: Options): Promise<Row[]> {
  return inPlace(async (place) => {
    const count = REPLAY_COMMANDS / (quick ? 5 : 1);
    const log = join(place.dir, "log");
    await writeLog(log, count);
    let cpuMs = Infinity;
    const opened = await best(5, async () => {
      // In a process of its own: a restart begins with a cold compiler and an empty heap.
      const program = startSource(place, "store-replay.ts", log);
      const { ms, cpu, keys } = await firstLine<{ ms: number; cpu: number; keys: number }>(program);
      if (program.exitCode === null) await once(program, "exit");
      if (keys !== Math.min(REPLAY_KEYS, count)) throw new Error(`${keys} keys after a replay`);
      cpuMs = Math.min(cpuMs, cpu);
      return (count / ms) * 1000;
    });
    return [row("replay of a log, to the whole keyspace", [opened, "commands/s"], {
      target: { atLeast: 500_000 },
      note: `${grouped(count)} of set, incr, sadd, hset, rpush on ${grouped(REPLAY_KEYS)} ` +
        `keys, ${REPLAY_TURN} a record; best of 5 restarts; ` +
        `${grouped((count / cpuMs) * 1000)} per second of CPU`,
    })];
  });
}

/** A log as the store writes it. */
async function writeLog(dir: string, count: number): Promise<void> {
  const rewriteMinBytes = Number.MAX_SAFE_INTEGER;
  const opened = await openStore({ host: nodeHost(), dir, durability: "no", rewriteMinBytes });
  const out = new ReplyBuffer();
  const session = opened.store.session({ out });
  const kinds: readonly ((name: string, i: number) => string[])[] = [
    (name, i) => ["SET", `key:${name}`, `value:${i}`],
    (name) => ["INCR", `counter:${name}`],
    (name, i) => ["SADD", `set:${name}`, `member:${i}`],
    (name, i) => ["HSET", `hash:${name}`, "field", `value:${i}`],
    (name, i) => ["RPUSH", `list:${name}`, `item:${i}`],
  ];
  for (let i = 0; i < count; i++) {
    // A multiplier without a common divisor visits every key, far from the one before; its last
    // digit says what kind it is.
    const name = (i * 61_803) % REPLAY_KEYS;
    opened.store.execute(session, kinds[name % kinds.length]!(String(name).padStart(12, "0"), i));
    if (i % REPLAY_TURN !== REPLAY_TURN - 1) continue;
    out.clear();
    const written = opened.afterCommit();
    if (i % 1000 === 999) await written;
  }
  await opened.close();
}

/** Calls that are under way together while the keys are loaded. */
const LOAD_PIPELINE = 1000;

async function memory({ quick }: Options): Promise<Row[]> {
  const count = quick ? 100_000 : 1_000_000;
  return inPlace(async (place) => {
    const client = await connectTo(await startOurs(place));
    const rss = async (): Promise<number> =>
      Number(/used_memory_rss:(\d+)/.exec(String(await client.call("INFO", "memory")))?.[1]) / 1e6;
    const empty = await rss();
    const set = (key: number) =>
      client.call("SET", `key:${String(key).padStart(12, "0")}`, `value:${key}`);
    for (let i = 0; i < count; i += LOAD_PIPELINE) {
      await Promise.all(Array.from({ length: LOAD_PIPELINE }, (_, k) => set(i + k)));
    }
    const full = await rss();
    const keys = await client.call("DBSIZE");
    client.close();
    if (keys !== count) throw new Error(`the store has ${String(keys)} keys of ${count}`);
    return [row(`memory with ${grouped(count)} small keys`, [full, "MB RSS"], {
      ...(!quick && { target: { atMost: 250 } }),
      note: `key:000000000123 → value:123, each a SET; ${Math.round(empty)} MB before`,
    })];
  });
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
