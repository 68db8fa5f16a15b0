/**
 * The port at which the original's SDK finds its dashboard, 5000 of the master's machine, and the
 * one request that it makes there:
 *
 *     POST /api/manifest/sync, JSON ─▶ manifest.ts ─▶ {"status":"ok"}
 *
 * It is so little of HTTP that it is read here: a head, a body of a known length, an answer.
 * A browser sends what a page of strangers wants, and every such request has one of three marks: a
 * name of another machine as its Host, an Origin, or a body that is not called JSON.
 *
 * Invariants: on this machine alone; a request has one answer, and its connection ends with it; a
 * peer costs at most MAX_BODY_BYTES, for PATIENCE_MS.
 * Left out: chunked bodies, which the SDK does not send; the pages of the dashboard.
 * Test: test/dialect.manifest.test.ts
 */
import { isLoopback } from "#base";
import type { Address, Host, Listener, Socket } from "#host";
import type { OldManifest } from "./manifest.ts";

/** Of the largest file of names and scripts that is taken: as of a frame of version 1. */
const MAX_BODY_BYTES = 10 * 1024 * 1024;
const MAX_HEAD_BYTES = 16 * 1024;
/** An old client waits for 5 s. */
const PATIENCE_MS = 10_000;
/** Together they hold 80 MiB. */
const MAX_PEERS = 8;
const LOOPBACK = "127.0.0.1";
const PATH = "/api/manifest/sync";
const END_OF_HEAD = Buffer.from("\r\n\r\n");

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly error?: string;
}

const OK: Answer = { status: 200, reason: "OK" };
const refuse = (status: number, reason: string, error: string): Answer =>
  ({ status, reason, error });

export class ManifestDoor {
  readonly #host: Host;
  readonly #manifest: OldManifest;
  readonly #peers = new Set<Socket>();
  #listener: Listener | undefined;

  constructor(host: Host, manifest: OldManifest) {
    this.#host = host;
    this.#manifest = manifest;
  }

  /** @throws the system's error when the port cannot be had */
  async open(port: number): Promise<Address> {
    const at = { host: LOOPBACK, port };
    this.#listener = await this.#host.network.listen(at, (socket) => this.#take(socket));
    return { host: LOOPBACK, port: this.#listener.port };
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    for (const socket of [...this.#peers]) socket.destroy();
  }

  #take(socket: Socket): void {
    const reader = new PostReader((body) => this.#sync(body));
    const forget = (): void => {
      timer.cancel();
      this.#peers.delete(socket);
    };
    const timer = this.#host.timers.after(PATIENCE_MS, () => socket.destroy());
    const onData = (chunk: Buffer): void => {
      const answer = reader.push(chunk);
      if (answer === undefined) return;
      socket.write(bytesOf(answer));
      socket.end();
    };
    socket.handle({ onData, onEnd: () => reader.done || socket.destroy(), onClose: forget });
    this.#peers.add(socket);
    if (this.#peers.size > MAX_PEERS) socket.destroy();
  }

  #sync(body: Buffer): Answer {
    let told: unknown;
    try {
      told = JSON.parse(body.toString("utf8"));
    } catch (error) {
      return refuse(400, "Bad Request", `Cannot read the manifest: ${(error as Error).message}`);
    }
    if (typeof told !== "object" || told === null || Array.isArray(told)) {
      return refuse(400, "Bad Request", "Cannot read the manifest: it is no JSON object");
    }
    this.#manifest.merge(told as Readonly<Record<string, unknown>>);
    return OK;
  }
}

/** Puts one request together, and says what its answer is. */
class PostReader {
  readonly #use: (body: Buffer) => Answer;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Of head and body together, once the head is there. */
  #total: number | undefined;
  #head = 0;
  /** It has its answer, and what else comes does not count. */
  done = false;

  constructor(use: (body: Buffer) => Answer) {
    this.#use = use;
  }

  push(chunk: Buffer): Answer | undefined {
    if (this.done) return undefined;
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    const answer = this.#total === undefined ? this.#begin() : this.#finish(this.#total);
    if (answer === undefined) return undefined;
    this.done = true;
    this.#pieces = [];
    return answer;
  }

  #begin(): Answer | undefined {
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    this.#head = bytes.indexOf(END_OF_HEAD);
    if (this.#head > MAX_HEAD_BYTES || (this.#head < 0 && this.#bytes > MAX_HEAD_BYTES)) {
      return refuse(431, "Request Header Fields Too Large", "Cannot read the request: no head");
    }
    if (this.#head < 0) return undefined;
    const [line = "", ...lines] = bytes.toString("latin1", 0, this.#head).split("\r\n");
    const headers = new Map(lines.map((each) => {
      const colon = each.indexOf(":");
      return [each.slice(0, colon).trim().toLowerCase(), each.slice(colon + 1).trim()];
    }));
    const length = headers.get("content-length") ?? "";
    const strange = problemOf(line, headers);
    if (strange !== undefined) return strange;
    this.#total = this.#head + END_OF_HEAD.length + Number(length);
    return this.#finish(this.#total);
  }

  #finish(total: number): Answer | undefined {
    if (this.#bytes < total) return undefined;
    const body = Buffer.concat(this.#pieces).subarray(this.#head + END_OF_HEAD.length, total);
    return this.#use(body);
  }
}

/** Why a request is not served, by its first line and its headers. */
function problemOf(line: string, headers: ReadonlyMap<string, string>): Answer | undefined {
  const [method, path, version] = line.split(" ");
  if (version?.startsWith("HTTP/1.") !== true) {
    return refuse(400, "Bad Request", "Cannot read the request: it is not HTTP/1.1");
  }
  const host = (headers.get("host") ?? "").replace(/:\d+$/, "");
  if (!isLoopback(host) || headers.has("origin")) {
    return refuse(403, "Forbidden", "Cannot serve this: it comes from a page of another site");
  }
  if (path !== PATH) return refuse(404, "Not Found", `Cannot find ${path}: there is only ${PATH}`);
  if (method !== "POST") return refuse(405, "Method Not Allowed", `Cannot ${method}: use POST`);
  if (!/^application\/json\b/i.test(headers.get("content-type") ?? "")) {
    return refuse(415, "Unsupported Media Type", "Cannot read the body: send application/json");
  }
  const length = headers.get("content-length") ?? "";
  if (!/^\d{1,12}$/.test(length)) {
    return refuse(411, "Length Required", "Cannot read the body: send its content-length");
  }
  if (Number(length) <= MAX_BODY_BYTES) return undefined;
  const found = `${length} bytes are more than ${MAX_BODY_BYTES}`;
  return refuse(413, "Content Too Large", `Cannot read the body: ${found}`);
}

function bytesOf({ status, reason, error }: Answer): Buffer {
  const body = JSON.stringify(error === undefined ? { status: "ok" } : { error });
  const head = [
    `HTTP/1.1 ${status} ${reason}`, "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`, "connection: close",
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}
