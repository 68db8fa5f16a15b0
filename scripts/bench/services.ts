/**
 * `titan forward` beside socat, in turns: bytes from a service, and a round trip to it. The way
 * through Titan has three programs in a row, so it is compared with one socat and with three.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { removeTreeSync } from "../lib/remove-tree.mjs";
import type { Options } from "./bricks.ts";
import { CLI, freePort } from "./cluster.ts";
import { quantile, rowOf, type Row } from "./table.ts";

/** Sends as many bytes as it is asked for; for "0", gives back what follows. */
const SERVICE = `
import { createServer } from "node:net";
const piece = Buffer.alloc(256 * 1024);
createServer({ noDelay: true }, (socket) => socket.once("data", (asked) => {
  if (asked[0] === 48) {
    socket.write(asked.subarray(1)); // more may have come with it
    return void socket.pipe(socket);
  }
  let left = Number(asked);
  const pour = () => {
    while (left > 0) {
      left -= piece.length;
      if (!socket.write(piece)) return;
    }
    socket.end();
  };
  socket.on("drain", pour);
  pour();
})).listen(Number(process.env.TITAN_PORT), "127.0.0.1");
`;

const PIECE_BYTES = 256 * 1024;
const ROUND_TRIPS = 1000;

export async function services({ quick }: Options): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  writeFileSync(join(dir, "service.mjs"), SERVICE);
  const children: ChildProcess[] = [];
  try {
    const up = await titan(dir, children, "up", "--workers", "1", "--port", "0", "--state", "st");
    const master = ["--master", up["master"] as string];
    const made = await titan(dir, children, "deploy", "--name", "s", ...master, "service.mjs");
    const [replica] = made["services"] as { port: number }[];
    const { port } = await titan(dir, children, "forward", "s", ...master);
    const bytes = (quick ? 256 : 1024) * PIECE_BYTES;
    const ways = { direct: replica!.port, forward: port as number };
    return [...(await throughput(ways, { bytes, children, quick })), await roundTrip(ways)];
  } finally {
    for (const child of children.reverse()) {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await exited;
    }
    removeTreeSync(dir);
  }
}

interface Ways {
  readonly direct: number;
  readonly forward: number;
}

async function throughput(
  ways: Ways, how: { bytes: number; children: ChildProcess[]; quick: boolean },
): Promise<Row[]> {
  const row = rowOf("services");
  const name = (peer: string): string => `\`titan forward\`, bytes a second beside ${peer}`;
  if (spawnSync("socat", ["-V"]).status !== 0) {
    const note = "not measured: socat not in PATH";
    return [row(name("socat"), [Number.NaN, "×"], { note })];
  }
  const one = await socat(ways.direct, how.children);
  const three = await socat(await socat(one, how.children), how.children);
  const rates: Record<"titan" | "one" | "three", number[]> = { titan: [], one: [], three: [] };
  await rate(ways.forward, how.bytes); // warm-up
  for (let round = 0; round < (how.quick ? 3 : 7); round++) {
    rates.one.push(await rate(one, how.bytes));
    rates.titan.push(await rate(ways.forward, how.bytes));
    rates.three.push(await rate(three, how.bytes));
  }
  const [ours, ...peers] = [rates.titan, rates.one, rates.three].map((all) => quantile(all, 0.5));
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB/s`;
  const note = (theirs: number): string => `${megabytes(ours!)}, socat ${megabytes(theirs)}`;
  return [
    row(name("socat"), [ours! / peers[0]!, "×"], {
      target: { atLeast: 0.5 }, note: `${note(peers[0]!)}; medians in turns`,
    }),
    row(name("three socats in a row"), [ours! / peers[1]!, "×"], { note: note(peers[1]!) }),
  ];
}

async function roundTrip(ways: Ways): Promise<Row> {
  const times: Record<keyof Ways, number[]> = { direct: [], forward: [] };
  for (const way of ["direct", "forward"] as const) {
    const socket = await dial(ways[way]);
    socket.write("0");
    for (let i = 0; i < ROUND_TRIPS; i++) {
      const start = performance.now();
      const heard = new Promise((resolve) => socket.once("data", resolve));
      socket.write("ping");
      await heard;
      times[way].push(performance.now() - start);
    }
    socket.destroy();
  }
  const [direct, forward] = [quantile(times.direct, 0.5), quantile(times.forward, 0.5)];
  return rowOf("services")("`titan forward`, added to a round trip", [forward - direct, "ms"], {
    target: { atMost: 1 },
    note: `medians of ${ROUND_TRIPS}: ${forward.toFixed(2)} ms, straight to it ` +
      `${direct.toFixed(2)} ms`,
  });
}

async function rate(port: number, bytes: number): Promise<number> {
  const start = performance.now();
  const socket = await dial(port);
  let heard = 0;
  socket.on("data", (piece) => (heard += piece.length));
  socket.write(String(bytes));
  await new Promise((resolve) => socket.once("close", resolve));
  if (heard !== bytes) throw new Error(`Cannot measure: ${heard} bytes of ${bytes} came`);
  return (bytes / (performance.now() - start)) * 1000;
}

/** A relay in front of a port; resolves with its own. */
async function socat(to: number, children: ChildProcess[]): Promise<number> {
  const port = await freePort();
  const at = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`;
  children.push(spawn("socat", [at, `TCP:127.0.0.1:${to}`], { stdio: "ignore" }));
  for (let tries = 0; ; tries++) {
    try {
      (await dial(port)).destroy();
      return port;
    } catch (error) {
      if (tries > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("error", reject).once("connect", () => resolve(socket));
  });
}

/** Starts a command of the command line, and resolves with the first line of its JSON. */
async function titan(
  dir: string, children: ChildProcess[], ...args: string[]
): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, [CLI, ...args, "--json"], {
    cwd: dir, stdio: ["ignore", "pipe", "ignore"],
  });
  children.push(child);
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`titan ${args[0]} ended with ${code}`)));
  });
  return JSON.parse(line) as Record<string, unknown>;
}
