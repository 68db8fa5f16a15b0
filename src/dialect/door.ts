/**
 * The door of version 1: who may come in, and how long a peer may take.
 *
 *     socket ─▶ header, within 2 s ─▶ body, within 30 s ─▶ answer ─▶ end, within 30 s
 *
 * Nobody introduces himself here. So peers are few, their bytes are counted together, and when
 * there are too many of either, the oldest one goes: of those that are still being read, if any.
 *
 * Invariants: a peer costs a socket and what it has sent, MAX_HELD_BYTES together; a request that
 * is whole is answered; a peer that breaks the rules is closed without an answer, as the original
 * does.
 * Test: test/dialect.frame.test.ts
 */
import { dialable, invariant } from "#base";
import type { Address, Host, Listener, Socket, Timer } from "#host";
import { connect, type Client } from "#sdk";
import { HELLO_TIMEOUT_MS } from "#wire";
import { Answers } from "./answers.ts";
import { OldFolder } from "./folder.ts";
import { encodeReply, MAX_BODY_BYTES, RequestReader, type OldRequest } from "./frame.ts";
import { ManifestDoor } from "./manifest-door.ts";
import { OldManifest } from "./manifest.ts";
import { OldNames } from "./names.ts";
import type { MasterView, Parts } from "./parts.ts";

/** A quarter of the requests that one client of the master may have open. */
const MAX_PEERS = 256;
/** Of requests that are being read, and of answers that are being sent. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** Each may take three times the largest frame while it is made: 1 GB together. */
const MAX_ANSWERS = 32;
/** The largest frame at 3 Mbit/s. Old clients wait 10 s for an answer. */
const FRAME_MS = 30_000;

invariant(MAX_HELD_BYTES > 4 * MAX_BODY_BYTES, "several peers may send the largest frame at once");

export interface DoorOptions {
  readonly host: Host;
  /** Files that clients send are kept in here. */
  readonly dir: string;
}

export interface DoorTo {
  readonly master: Address;
  readonly token: string | undefined;
  readonly view: MasterView;
  /** A port of its own on this machine, instead of the master's. 0: any free one. */
  readonly port?: number | undefined;
}

interface Peer {
  bytes: number;
  timer: Timer;
  readonly close: () => void;
}

export class OldDoor {
  readonly #options: DoorOptions;
  /** Peers whose requests are not whole yet, the oldest first; and those that are answered. */
  readonly #reading = new Set<Peer>();
  readonly #answering = new Set<Peer>();
  #bytes = 0;
  /** Answers that are being made, and those that wait until there are fewer. */
  #busy = 0;
  readonly #waiting: (() => void)[] = [];
  /** Undefined: the door was closed before it was open. */
  readonly #answers: Promise<Answers | undefined>;
  #opened: (answers: Answers | undefined) => void = () => undefined;
  #listener: Listener | undefined;
  readonly #manifest = new OldManifest();
  readonly #manifestDoor: ManifestDoor;
  #client: Promise<Client> | undefined;
  #closed = false;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#manifestDoor = new ManifestDoor(options.host, this.#manifest);
    this.#answers = new Promise((resolve) => (this.#opened = resolve));
  }

  /** Peers that are here. */
  get peers(): number {
    return this.#reading.size + this.#answering.size;
  }

  /** Where old clients come in. Peers that came before are served from now on. */
  async open(to: DoorTo): Promise<Address> {
    const { host, dir } = this.#options;
    const { port } = to;
    if (port !== undefined) {
      this.#listener = await listen(host, { port, onSocket: (socket) => this.take(socket) });
    }
    const { host: name, port: found } = this.#listener ?? to.master;
    const isMasters = this.#listener === undefined;
    const listener = { host: dialable(name), port: found, isMasters };
    const parts: Parts = {
      host, listener, view: to.view,
      names: new OldNames((number) => to.view.runsAfter(number)), manifest: this.#manifest,
      uploads: new OldFolder(host, `${dir}/uploads`),
      scripts: new OldFolder(host, `${dir}/scripts`),
      client: () => this.#session(to),
    };
    const answers = new Answers(parts);
    this.#opened(answers);
    // In the background: there may be many, and a store may be away. People can answer meanwhile.
    answers.resume().catch(() => undefined);
    return { host: name, port: found };
  }

  /** Beside the door itself, which works without it. @throws the system's error */
  openManifest(port: number): Promise<Address> {
    return this.#manifestDoor.open(port);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#manifestDoor.close();
    await this.#listener?.close();
    for (const peer of [...this.#reading, ...this.#answering]) peer.close();
    this.#opened(undefined);
    (await this.#answers)?.close();
    (await this.#client?.catch(() => undefined))?.close();
  }

  /** One session for all peers, and another one when it breaks. */
  async #session({ master, token }: DoorTo): Promise<Client> {
    const known = this.#client;
    const client = await known?.catch(() => undefined);
    if (client !== undefined && !client.closed) return client;
    const at = { host: dialable(master.host), port: master.port };
    // Somebody else may have dialled while we looked.
    if (this.#client === known) {
      this.#client = connect({ master: at, token, host: this.#options.host });
    }
    return this.#client!;
  }

  // #region take
  /** A peer, and what has been read from it already. */
  readonly take = (socket: Socket, first?: Buffer): void => {
    const reader = new RequestReader();
    const close = (): void => {
      this.#forget(peer);
      socket.destroy();
    };
    const timer = this.#options.host.timers.after(HELLO_TIMEOUT_MS, close);
    const peer: Peer = { bytes: 0, timer, close };
    const onData = (chunk: Buffer): void => {
      if (!this.#reading.has(peer)) return; // its request is whole, and it has no other
      const had = reader.begun;
      const request = reader.push(chunk);
      if (request === "bad") return close();
      this.#hold(peer, reader.bytes);
      if (request !== undefined) void this.#answer(peer, { request, socket });
      else if (!had && reader.begun) this.#patience(peer, FRAME_MS);
    };
    // A peer may close its side as soon as it has asked, and still read the answer.
    const onEnd = (): void => void (this.#reading.has(peer) && close());
    socket.handle({ onData, onEnd, onClose: () => this.#forget(peer) });
    if (this.#closed) return close();
    this.#reading.add(peer);
    if (this.peers > MAX_PEERS) this.#dismissOldest();
    if (first !== undefined) onData(first);
  };

  async #answer(
    peer: Peer, { request, socket }: { request: OldRequest; socket: Socket },
  ): Promise<void> {
    if (!this.#reading.delete(peer)) return; // it made us hold too much
    peer.timer.cancel();
    this.#answering.add(peer);
    const answers = await this.#answers;
    while (this.#busy >= MAX_ANSWERS) await new Promise<void>((next) => this.#waiting.push(next));
    if (answers === undefined || !this.#answering.has(peer)) return this.#waiting.shift()?.();
    this.#busy += 1;
    const frame = encodeReply(await answers.to(request));
    this.#busy -= 1;
    this.#waiting.shift()?.();
    if (!this.#answering.has(peer)) return; // it has gone
    this.#hold(peer, frame.length);
    if (!this.#answering.has(peer)) return; // it was too much
    this.#patience(peer, FRAME_MS);
    socket.write(frame);
    socket.end();
  }
  // #endregion

  #patience(peer: Peer, ms: number): void {
    peer.timer.cancel();
    peer.timer = this.#options.host.timers.after(ms, peer.close);
  }

  #hold(peer: Peer, bytes: number): void {
    this.#bytes += bytes - peer.bytes;
    peer.bytes = bytes;
    while (this.#bytes > MAX_HELD_BYTES) this.#dismissOldest();
  }

  #dismissOldest(): void {
    const [oldest] = this.#reading.size > 0 ? this.#reading : this.#answering;
    oldest?.close();
  }

  #forget(peer: Peer): void {
    peer.timer.cancel();
    if (!this.#reading.delete(peer) && !this.#answering.delete(peer)) return;
    this.#bytes -= peer.bytes;
    peer.bytes = 0;
  }
}

/** On this machine alone: nobody introduces himself here. */
async function listen(
  { network }: Host, { port, onSocket }: { port: number; onSocket: (socket: Socket) => void },
): Promise<Listener> {
  try {
    return await network.listen({ host: "127.0.0.1", port }, onSocket);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "EADDRINUSE" ? "the port is in use" : message;
    throw new Error(`Cannot listen on 127.0.0.1:${port} for version 1: ${why}`, { cause: error });
  }
}
