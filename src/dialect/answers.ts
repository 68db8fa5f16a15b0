/**
 * Lesson 01: a request of a client of Titan 1, by its operation, and the text that answers it. The
 * door (door.ts) reads the frame, and hands the request to `Answers`.
 *
 * Invariants: a request has one answer; what goes wrong is said in words that begin with ERROR,
 * since old clients look at the text; data is never taken for an error.
 * Test: test/dialect.cluster.test.ts
 */
import { CodecError } from "#codec";
import { ArchiveError } from "#project";
import { ConnectError, RpcError } from "#sdk";
import { MAX_BODY_BYTES, OP, type OldReply, type OldRequest } from "./frame.ts";
import type { OldFolder } from "./folder.ts";
import { OldGates } from "./gates.ts";
import { decodeBase64, OldFormatError } from "./jobs.ts";
import { OldKeys } from "./keys.ts";
import type { Parts } from "./parts.ts";
import { OldRuns } from "./runs.ts";
import { portOf, readStats, statsJson, statsText } from "./stats.ts";
import { ZipError } from "./zip.ts";

type Handler = (body: Buffer) => OldReply | Promise<OldReply>;

const PIPE = "|".charCodeAt(0);
const COMMA = Buffer.from(",");

export class Answers {
  readonly #parts: Parts;
  readonly #keys: OldKeys;
  readonly #gates: OldGates;
  readonly #runs: OldRuns;
  readonly #handlers: Readonly<Record<number, Handler>>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#keys = new OldKeys(() => parts.client());
    this.#gates = new OldGates(parts, this.#keys);
    this.#runs = new OldRuns(parts, this.#gates);
    const [runs, { uploads, scripts }] = [this.#runs, parts];
    const text = (answer: (body: string) => OldReply | Promise<OldReply>): Handler =>
      (body) => answer(body.toString("utf8"));
    this.#handlers = {
      [OP.REGISTER]: () =>
        "ERROR: this master has no workers of version 1 (start: titan worker --master HOST:PORT)",
      [OP.SUBMIT_JOB]: text((body) => runs.submitJob(body)),
      [OP.SUBMIT_DAG]: text((body) => runs.submitDag(body)),
      [OP.DEPLOY]: text((body) => runs.deployFile(body)),
      [OP.RUN]: text((body) => runs.runFile(body)),
      [OP.STOP]: text((body) => runs.stop(body)),
      [OP.STATS]: async () => statsText(await readStats(parts, runs)),
      [OP.STATS_JSON]: async () => statsJson(await readStats(parts, runs)),
      // The original's list of services can be wrong. Ours is what there is.
      [OP.CLEAN_STATS]: () => "Stats Map Cleared. Run STATS again to see fresh state.",
      [OP.KILL_WORKER]: text((body) => this.#killWorker(body)),
      [OP.GET_LOGS]: text((body) => runs.logs(body)),
      [OP.UPLOAD_ASSET]: (body) => save(uploads, body, { word: "UPLOAD", what: "asset" }),
      [OP.DEPLOY_SCRIPT]: (body) => save(scripts, body, { word: "DEPLOY", what: "script" }),
      [OP.FETCH_ASSET]: text((name) => this.#fetch(name.trim())),
      [OP.GET_JOB_STATUS]: text((body) => runs.status(body)),
      [OP.CANCEL_JOB]: text((body) => runs.cancel(body)),
      [OP.KV_SET]: (body) => this.#set(body),
      [OP.KV_GET]: text((key) => this.#get(key)),
      [OP.KV_SADD]: (body) => this.#add(body),
      [OP.KV_SMEMBERS]: text((key) => this.#members(key)),
    };
  }

  resume(): Promise<void> {
    return this.#gates.resume();
  }

  close(): void {
    this.#gates.close();
  }

  /** Never rejects. */
  async to({ opcode, body }: OldRequest): Promise<OldReply> {
    const handler = this.#handlers[opcode];
    // As a signed byte, which it is in the original.
    if (handler === undefined) return `UNKNOWN_OPCODE: ${(opcode << 24) >> 24}`;
    try {
      const reply = await handler(body);
      const bytes = Buffer.byteLength(reply);
      if (bytes <= MAX_BODY_BYTES) return reply;
      return `ERROR: Cannot answer: ${bytes} bytes are more than ${MAX_BODY_BYTES}`;
    } catch (error) {
      const { message } = error as Error;
      return isExpected(error) ? `ERROR: ${message}` : `SERVER_ERROR: ${message}`;
    }
  }

  /** Workers of this cluster end where they were started. */
  async #killWorker(body: string): Promise<string> {
    const [host = "", port] = body.split("|", 2);
    if (port === undefined) return "ERROR: Payload must be HOST|PORT";
    if (!/^-?\d{1,10}$/.test(port)) return "ERROR: Invalid Port Format";
    const workers = await (await this.#parts.client()).workers();
    const isKnown = workers.some(({ id }) => portOf(id) === Number(port));
    if (!isKnown) return `ERROR: Worker node ${port} not found in registry.`;
    return `ERROR: Cannot auto-shutdown PERMANENT worker ${host}:${port}`;
  }

  async #fetch(name: string): Promise<OldReply> {
    const content = await this.#parts.uploads.read(name);
    return content === undefined ? "ERROR_NOT_FOUND" : Buffer.from(content.toString("base64"));
  }

  // ── keys ───────────────────────────────────────────────────────────────────────────────────────

  async #set(body: Buffer): Promise<string> {
    const pair = pairOf(body);
    if (pair === undefined) return "ERROR: Invalid Format";
    const [key, value] = pair;
    await this.#keys.set(key, value);
    return await this.#gates.written(key, value) ?? "OK";
  }

  async #get(key: string): Promise<OldReply> {
    return await this.#gates.read(key) ?? await this.#keys.get(key) ?? "NULL";
  }

  /** The original answers 0 whether the member is new or not, so its clients rely on neither. */
  async #add(body: Buffer): Promise<string> {
    const pair = pairOf(body);
    if (pair === undefined) return "ERROR: Invalid Format";
    await this.#keys.add(...pair);
    return "0";
  }

  async #members(key: string): Promise<Buffer> {
    const members = await this.#keys.members(key);
    return Buffer.concat(members.flatMap((member, at) => (at === 0 ? [member] : [COMMA, member])));
  }
}

/** What comes before the first pipe is a name. */
function pairOf(body: Buffer): [string, Buffer] | undefined {
  const pipe = body.indexOf(PIPE);
  if (pipe < 0) return undefined;
  return [body.toString("utf8", 0, pipe), body.subarray(pipe + 1)];
}

async function save(
  folder: OldFolder, body: Buffer, { word, what }: { word: string; what: string },
): Promise<string> {
  const [name, base64] = pairOf(body) ?? [];
  const title = `${word[0]}${word.slice(1).toLowerCase()}`;
  if (name === undefined || base64 === undefined) return `ERROR: Invalid ${title} Payload`;
  if (!folder.accepts(name)) return `ERROR: Invalid ${what} name (path traversal rejected)`;
  const content = decodeBase64(base64.toString("latin1"));
  if (content === undefined) return `${word}_FAILED: the content is not base64`;
  try {
    await folder.write(name, content);
    return `${word}_SUCCESS`;
  } catch (error) {
    return `${word}_FAILED: ${(error as Error).message}`;
  }
}

/** The client or the cluster can do something about it. */
function isExpected(error: unknown): boolean {
  const kinds = [OldFormatError, ZipError, ArchiveError, CodecError, RpcError, ConnectError];
  return kinds.some((kind) => error instanceof kind) || (error as Error).name === "StoreError";
}
