/** A cluster in this process with a door for clients of version 1, and such a client. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext } from "node:test";
import { OldDoor } from "#dialect";
import { createExecutor } from "#exec";
import { startMaster, type MasterOptions } from "#master";
import { nodeWorkerHost } from "#process";
import { connect } from "#sdk";
import { openGateway, openStore, startStore } from "#store";
import { startWorker } from "#worker";
import "./leaks.support.ts";
import { eventually } from "./processes.support.ts";

export const host = nodeWorkerHost();
const LOOPBACK = { host: "127.0.0.1", port: 0 };
const root = mkdtempSync(join(tmpdir(), "titan-dialect-"));
after(() => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));
let folders = 0;
export const fresh = (): string => join(root, `f${++folders}`);

/** Between two looks at something that is about to happen. */
export const pause = (ms = 20): Promise<void> => new Promise((next) => setTimeout(next, ms));

export interface Answer {
  readonly opcode: number;
  readonly text: string;
}

/** Sends bytes on a connection of their own; resolves with all that comes back. */
export function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = dial({ host: "127.0.0.1", port });
    const got: Buffer[] = [];
    socket.on("data", (chunk) => got.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(got)));
    socket.write(bytes);
  });
}

export function frame(opcode: number, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.from([1, opcode, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

export async function startMemoryStore(t: TestContext) {
  const opened = await openStore({ host });
  const afterCommit = () => opened.afterCommit();
  const server = await startStore({ host, listen: LOOPBACK, store: opened.store, afterCommit });
  t.after(() => server.close().then(() => opened.close()));
  const url = `redis://127.0.0.1:${server.port}`;
  const gateway = openGateway({ host, url });
  t.after(() => gateway.close());
  return { url, call: (args: readonly Buffer[]) => gateway.call(args) };
}

export interface OldCluster {
  readonly port: number;
  readonly door: OldDoor;
  readonly client: Awaited<ReturnType<typeof connect>>;
  ask(opcode: number, body?: Buffer | string): Promise<Answer>;
  /** Asks for the status of a job until it is one of these. */
  until(id: string, ...words: string[]): Promise<string>;
}

/** A master that serves version 1 on its own port, a store, and a worker of four slots. */
export async function startOldCluster(
  t: TestContext,
  options: Partial<MasterOptions> & { withStore?: boolean; slots?: number; tags?: string[] } = {},
): Promise<OldCluster> {
  const { withStore = true, slots = 4, tags = [], ...more } = options;
  const store = options.store ?? (withStore ? await startMemoryStore(t) : undefined);
  const dir = options.dir ?? fresh();
  const door = new OldDoor({ host, dir: join(dir, "v1") });
  const master = await startMaster({
    host, dir, listen: LOOPBACK, durability: "no", onOlderPeer: door.take,
    ...(store && { store }), ...more,
  });
  t.after(() => master.stop());
  t.after(() => door.close());
  await door.open({ master, token: options.token, view: master });
  const client = await connect({ host, master, token: options.token });
  t.after(() => client.close());
  const executor = createExecutor({ host, workDir: fresh() });
  const cacheDir = fresh();
  const worker = startWorker({
    host, master, slots, tags, executor, cacheDir, onNote: () => undefined, name: "w",
    ...(options.token !== undefined && { token: options.token }),
  });
  t.after(() => worker.stop());
  const { port } = master;
  const ask = async (opcode: number, body: Buffer | string = ""): Promise<Answer> => {
    const reply = await exchange(port, frame(opcode, body));
    return { opcode: reply[1] ?? 0, text: reply.toString("utf8", 8) };
  };
  const until = async (id: string, ...words: string[]): Promise<string> => {
    let word = "";
    await eventually(`${id} is ${words.join(" or ")}`, async () => {
      word = (await ask(0x55, id)).text;
      return words.includes(word);
    });
    return word;
  };
  return { port, door, client, ask, until };
}

/** A job as the original's SDK writes it. */
export function task(
  id: string, script: string,
  more: { file?: string; args?: string; tag?: string; parents?: string[]; end?: string } = {},
): string {
  const { file = "a.sh", args = "", tag = "GENERAL", parents = [], end = "" } = more;
  const code = Buffer.from(script).toString("base64");
  return `${id}|RUN_PAYLOAD|${file}|${args}|${code}|${tag}|1|0|[${parents.join(",")}]${end}`;
}
