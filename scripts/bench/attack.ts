/**
 * The cost of clients that ask and never read the answers, for a master and for a client that does
 * read: 20 connections with 1,000 unread requests each, of one kind after another, beside one
 * honest client that asks for a list again and again.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect as dial, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeFrame } from "#framing";
import type { Client } from "#sdk";
import {
  BLOB_CHUNK_BYTES, BlobPut, BlobRef, Empty, Hello, InfoRequest, JobRef, KvRequest, Op,
  OutputRequest, PROTOCOL, RunRef, Submit, Why,
} from "#wire";
import {
  freePort, inPlace, jobs, NOOP, pipeline, rssMb, untilUp, type Options,
} from "./programs.ts";
import { median, quantile, rowOf, timed, type Row } from "./table.ts";

const CONNECTIONS = 20;
const REQUESTS = 1000;
const JOBS = 5000;
const BLOB_BYTES = 32 * 1024 * 1024;
/** A request for a stream, and credit for one. */
const [STREAM, CREDIT] = [4, 32];

interface Attack {
  readonly kind: string;
  readonly opcode: number;
  readonly body: Buffer;
  readonly isStream: boolean;
}

interface Target {
  readonly port: number;
  readonly pid: number;
  readonly honest: Client;
}

export async function attack({ quick }: Options): Promise<Row[]> {
  if (!existsSync("/proc/self/status")) return [];
  return inPlace(async ({ dir, titan }) => {
    const port = await freePort();
    const at = ["--port", String(port), "--state", `${dir}/state`];
    const { pid } = titan("up", "--workers", "0", ...at);
    const honest = await untilUp(port);
    const attacks = await prepare(honest, port);
    const rows = await measure({ port, pid: pid!, honest }, attacks, quick ? 300 : 800);
    honest.close();
    return rows;
  });
}

async function prepare(client: Client, port: number): Promise<Attack[]> {
  const specs = jobs(JOBS, NOOP).map((job) => ({ ...job, requirement: ["NOBODY"] }));
  const { run } = await client.submitSpec(pipeline(specs));
  for (let i = 0; i < 200; i++) await client.submitSpec(pipeline(specs.slice(0, 1)));
  await client.kv("SET", "big", Buffer.alloc(1024 * 1024, 7));
  const hash = await upload(port, Buffer.alloc(BLOB_BYTES, 7));
  const all = Array.from({ length: 1000 }, (_, i) => i);
  const attackWith = (isStream: boolean) =>
    (kind: string, opcode: number, body = Empty.encode({})): Attack =>
      ({ kind, opcode, body, isStream });
  const [stream, single] = [attackWith(true), attackWith(false)];
  const args = ["GET", "big"].map((text) => Buffer.from(text));
  const submit = { spec: undefined, specBlob: hash, key: undefined, strict: false };
  return [
    stream("STATUS", Op.STATUS, JobRef.encode({ run, job: undefined })),
    stream("WATCH", Op.WATCH, RunRef.encode({ run })),
    stream("LOGS", Op.LOGS, OutputRequest.encode({ run, job: "job-1", attempt: 0, follow: true })),
    stream("RUNS", Op.RUNS),
    stream("GATES", Op.GATES),
    stream("DEAD", Op.DEAD),
    stream("BLOB_GET", Op.BLOB_GET, BlobRef.encode({ hash })),
    single("WHY", Op.WHY, Why.encode({ run, jobs: all })),
    single("INFO", Op.INFO, InfoRequest.encode({ hash: false })),
    single("KV", Op.KV, KvRequest.encode({ args })),
    single("SUBMIT", Op.SUBMIT, Submit.encode(submit)),
  ];
}

async function measure(target: Target, attacks: readonly Attack[], ms: number): Promise<Row[]> {
  const row = rowOf("attack");
  await ask(target.honest, ms); // warm-up
  await sleep(500);
  const idle = rssMb(target.pid);
  const alone = await ask(target.honest, 2 * ms);
  const peaks: { kind: string; mb: number }[] = [];
  const beside: number[] = [];
  for (const each of attacks) {
    let peak = 0;
    const looking = setInterval(() => (peak = Math.max(peak, rssMb(target.pid))), 20);
    const sockets = await begin(target.port, each);
    beside.push(...(await ask(target.honest, ms)));
    clearInterval(looking);
    for (const socket of sockets) socket.destroy();
    peaks.push({ kind: each.kind, mb: peak - idle });
  }
  const worst = peaks.reduce((a, b) => (b.mb > a.mb ? b : a));
  const note = `${CONNECTIONS} connections, one kind after another: ` +
    `${peaks.map(({ kind, mb }) => `${kind} ${Math.round(mb)}`).join(", ")}`;
  return [
    row("memory beside idle under 1,000 unread requests each", [worst.mb, "MB RSS"], {
      target: { atMost: 268 }, note,
    }),
    row("a list, alone, p50", [median(alone), "ms"]),
    row("a list, alone, p99", [quantile(alone, 0.99), "ms"]),
    row("the same beside each attack, p50", [median(beside), "ms"]),
    row("the same beside each attack, p99", [quantile(beside, 0.99), "ms"], {
      target: { atMost: 50 },
      note: `${beside.length} requests; the longest ${Math.round(Math.max(...beside))} ms`,
    }),
  ];
}

async function ask(client: Client, ms: number): Promise<number[]> {
  const times: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end;) {
    times.push(await timed(() => client.gates()));
    await sleep(2);
  }
  return times;
}

/** Connections that have sent everything and read nothing. */
async function begin(port: number, { opcode, body, isStream }: Attack): Promise<Socket[]> {
  const credit = Buffer.alloc(4);
  credit.writeUInt32BE(2 ** 30);
  const frames: Buffer[] = [];
  for (let requestId = 2; requestId < REQUESTS + 2; requestId++) {
    frames.push(encodeFrame({ opcode, flags: isStream ? STREAM : 0, requestId, body }));
    if (isStream) frames.push(encodeFrame({ opcode: 0, flags: CREDIT, requestId, body: credit }));
  }
  const bytes = Buffer.concat(frames);
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => session(port)));
  for (const socket of sockets) socket.pause().write(bytes);
  return sockets;
}

async function session(port: number): Promise<Socket> {
  const socket = dial(port, "127.0.0.1").on("error", () => undefined);
  const hello = {
    protocol: PROTOCOL, role: "client" as const, token: undefined, version: "", instance: "",
    name: "", tags: [], slots: 1, running: [], knows: [], dial: undefined,
  };
  socket.write(encodeFrame({ opcode: Op.HELLO, requestId: 1, body: Hello.encode(hello) }));
  await once(socket, "data");
  return socket;
}

async function upload(port: number, content: Buffer): Promise<string> {
  const hash = createHash("sha256").update(content).digest("hex");
  const socket = await session(port);
  const total = content.length;
  for (let offset = 0, requestId = 2; offset < total; offset += BLOB_CHUNK_BYTES, requestId++) {
    const data = content.subarray(offset, offset + BLOB_CHUNK_BYTES);
    const body = BlobPut.encode({ hash, total, offset, data });
    socket.write(encodeFrame({ opcode: Op.BLOB_PUT, requestId, body }));
    await once(socket, "data");
  }
  socket.destroy();
  return hash;
}
