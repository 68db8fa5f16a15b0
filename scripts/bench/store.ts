/**
 * TitanStore beside a real redis-server, and alone: how fast a log becomes a keyspace again, and
 * what a million keys weigh.
 *
 * Both servers run all the time, in memory, on loopback; redis-benchmark asks them in turns, and
 * the best round of each counts, so that a neighbour who takes the processor for a while takes it
 * from both.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeHost } from "#host";
import { openStore, ReplyBuffer, StoreClient } from "#store";
import type { Options } from "./bricks.ts";
import { CLI, freePort } from "./cluster.ts";
import { best, rowOf, type Row } from "./table.ts";

const REPLAY = fileURLToPath(new URL("./store-replay.ts", import.meta.url));
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
    label: `-c ${CLIENTS} -P 16 -r 100000`,
    args: ["-P", "16", "-r", "100000"],
    atLeast: 0.35,
    requests: 100_000,
  },
] as const;

export async function store(options: Options): Promise<Row[]> {
  return [...(await besideRedis(options)), ...(await replay(options)), ...(await memory(options))];
}

async function besideRedis({ quick }: Options): Promise<Row[]> {
  const row = rowOf("store");
  const missing = ["redis-benchmark", "redis-server"].filter((program) => !isInstalled(program));
  if (missing.includes("redis-benchmark")) {
    return [
      row("operations beside redis-server", [Number.NaN, "×"], {
        note: `not measured: ${missing.join(" and ")} not in PATH`,
      }),
    ];
  }
  const servers = [await startOurs()];
  try {
    if (missing.length === 0) servers.push(await startRedis());
    // lets the compiler finish
    for (const { port } of servers) {
      await operations(port, { command: "set", count: quick ? 10_000 : 100_000, args: [] });
    }
    const rows: Row[] = [];
    for (const { label, args, atLeast, requests } of MODES) {
      const count = quick ? requests / 4 : requests;
      for (const command of COMMANDS) {
        for (const { port } of servers) await operations(port, { command, count, args });
        const rates = servers.map(() => 0);
        for (let round = 0; round < (quick ? 2 : ROUNDS); round++) {
          for (const [i, { port }] of servers.entries()) {
            rates[i] = Math.max(rates[i]!, await operations(port, { command, count, args }));
          }
        }
        const [ours = 0, theirs] = rates;
        const name = `${command.toUpperCase()}${command === "mset" ? " of 10 keys" : ""}, ${label}`;
        if (theirs === undefined) {
          rows.push(
            row(name, [ours, "ops/s"], {
              note: "nothing to compare with: redis-server not in PATH",
            }),
          );
        } else {
          rows.push(
            row(name, [ours / theirs, "×"], {
              target: { atLeast },
              note: `${thousands(ours)} ops/s, redis-server ${thousands(theirs)} ops/s`,
            }),
          );
        }
      }
    }
    return rows;
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** One run of redis-benchmark: operations per second. */
function operations(
  port: number,
  { command, count, args }: { command: string; count: number; args: readonly string[] },
): Promise<number> {
  const all = [
    "-p",
    String(port),
    "-t",
    command,
    "-c",
    String(CLIENTS),
    "-n",
    String(count),
    "--csv",
    ...args,
  ];
  return new Promise((resolve, reject) => {
    execFile("redis-benchmark", all, (error, out, err) => {
      // "test","rps","avg_latency_ms",… and then "SET","123456.79","0.201",…
      const rate = Number(/^"[A-Z][^"]*","([0-9.]+)"/m.exec(out)?.[1]);
      if (error === null && rate > 0) resolve(rate);
      else {
        reject(
          new Error(
            `redis-benchmark ${all.join(" ")}: ` +
              `${error?.message ?? "no rate in its answer"}\n${out}${err}`,
          ),
        );
      }
    });
  });
}

interface Server {
  readonly port: number;
  stop(): Promise<void>;
}

/** As people run it. */
async function startOurs(): Promise<Server> {
  const port = await freePort();
  const { TITAN_STORE_PASSWORD: _, ...env } = process.env;
  const child = spawn(process.execPath, [CLI, "store", "--memory", "--port", String(port)], {
    stdio: "ignore",
    env,
  });
  return started(child, port, () => {});
}

async function startRedis(): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const port = await freePort();
  const child = spawn(
    "redis-server",
    [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      dir,
    ],
    { stdio: "ignore" },
  );
  return started(child, port, () => rmSync(dir, { recursive: true, force: true }));
}

/** Resolves once it answers. */
async function started(child: ChildProcess, port: number, cleanUp: () => void): Promise<Server> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await gone;
    cleanUp();
  };
  try {
    (await StoreClient.connect({ host: nodeHost(), url: `redis://127.0.0.1:${port}` })).close();
    return { port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ten changes of each key in no order: of jobs that know nothing of one another. */
const REPLAY_COMMANDS = 1_000_000;
const REPLAY_KEYS = 100_000;
/**
 * Commands of a turn, and so of a record. Fifty clients that wait for their answers come to about
 * thirty.
 */
const REPLAY_TURN = 10;

async function replay({ quick }: Options): Promise<Row[]> {
  const row = rowOf("store");
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  try {
    const count = REPLAY_COMMANDS / (quick ? 5 : 1);
    await writeLog(dir, count);
    let cpuMs = Infinity;
    const opened = await best(5, async () => {
      const { ms, cpu, keys } = await inProcess(dir);
      if (keys !== Math.min(REPLAY_KEYS, count)) throw new Error(`${keys} keys after a replay`);
      cpuMs = Math.min(cpuMs, cpu);
      return (count / ms) * 1000;
    });
    return [
      row("replay of a log, to the whole keyspace", [opened, "commands/s"], {
        target: { atLeast: 500_000 },
        note:
          `${thousands(count)} of set, incr, sadd, hset, rpush on ${thousands(REPLAY_KEYS)} ` +
          `keys, ${REPLAY_TURN} a record; best of 5 restarts; ` +
          `${thousands((count / cpuMs) * 1000)} per second of CPU`,
      }),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A log as the store writes it. */
async function writeLog(dir: string, count: number): Promise<void> {
  const opened = await openStore({
    host: nodeHost(),
    dir,
    durability: "no",
    rewriteMinBytes: Number.MAX_SAFE_INTEGER,
  });
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

interface Replayed {
  readonly ms: number;
  readonly cpu: number;
  readonly keys: number;
}

/**
 * Opens the log in a process of its own: a restart begins with a cold compiler and an empty heap.
 */
async function inProcess(dir: string): Promise<Replayed> {
  const args = ["--import", "tsx", REPLAY, dir];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const line = await firstLine<Replayed>(child);
  await gone;
  return line;
}

/** Calls that are under way together while the keys are loaded. */
const LOAD_PIPELINE = 1000;

async function memory({ quick }: Options): Promise<Row[]> {
  const row = rowOf("store");
  const count = quick ? 100_000 : 1_000_000;
  const server = await startOurs();
  try {
    const client = await StoreClient.connect({
      host: nodeHost(),
      url: `redis://127.0.0.1:${server.port}`,
    });
    const rss = async (): Promise<number> =>
      Number(/used_memory_rss:(\d+)/.exec(String(await client.call("INFO", "memory")))?.[1]) / 1e6;
    const empty = await rss();
    for (let i = 0; i < count; i += LOAD_PIPELINE) {
      await Promise.all(
        Array.from({ length: LOAD_PIPELINE }, (_, k) =>
          client.call("SET", `key:${String(i + k).padStart(12, "0")}`, `value:${i + k}`),
        ),
      );
    }
    const full = await rss();
    const keys = await client.call("DBSIZE");
    client.close();
    if (keys !== count) throw new Error(`the store has ${String(keys)} keys of ${count}`);
    return [
      row(`memory with ${count.toLocaleString("en-US")} small keys`, [full, "MB RSS"], {
        ...(quick ? {} : { target: { atMost: 250 } }),
        note: `key:000000000123 → value:123, each a SET; ${Math.round(empty)} MB before`,
      }),
    ];
  } finally {
    await server.stop();
  }
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

async function firstLine<T>(child: ChildProcess): Promise<T> {
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", resolve);
    child.once("exit", (code) =>
      reject(new Error(`Cannot measure: the store's process ended with ${code}`)),
    );
  });
  return JSON.parse(line) as T;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
