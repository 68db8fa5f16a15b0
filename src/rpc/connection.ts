/**
 * Lesson 04: many conversations over one connection.
 *
 * See mod.ts for the whole picture. This file matches answers to requests, by id.
 *
 * Test: test/04-rpc.test.ts
 */
import { FrameDecoder, FramingError, type Frame, type FrameInit } from "#framing";
import type { Socket } from "#host";
import { Account } from "./account.ts";
import type { Budget } from "./budget.ts";
import { Deadlines } from "./deadlines.ts";
import { decodeError, encodeError, RpcError } from "./errors.ts";
import { CANCEL, CREDIT, ERROR, MORE, ONEWAY, REPLY } from "./flags.ts";
import { Incoming, type RequestHost } from "./incoming.ts";
import { SLICE_FRAMES, SLICE_MS, withDefaults, type RpcLimits } from "./limits.ts";
import type { RpcOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { Pending } from "./pending.ts";
import { Rests } from "./rests.ts";
import { Serving } from "./serving.ts";
import { StallWatchdog } from "./stall-watchdog.ts";
import { StreamCall, type Call, type RpcStream, type StreamOptions } from "./stream.ts";

/**
 * One peer, any number of conversations with it; both sides may ask. Takes over the socket, in the
 * turn that delivered it.
 *
 * @example
 * ```ts
 * import { RpcConnection, type RpcOptions } from "#rpc";
 * import { SimWorld } from "#simhost";
 * const world = new SimWorld({ seed: 1 });
 * const [server, client] = [world.host("server"), world.host("client")];
 * await server.network.listen({ host: "server", port: 80 }, (socket) => {
 *   const onRequest: RpcOptions["onRequest"] = (request) =>
 *     request.reply(Buffer.from(`re: ${request.body}`));
 *   new RpcConnection(socket, { host: server, onRequest });
 * });
 * const socket = await world.settle(client.network.dial({ host: "server", port: 80 }));
 * const connection = new RpcConnection(socket, { host: client });
 * (await world.settle(connection.request(7, Buffer.from("hello")))).toString() // => 're: hello'
 * ```
 */
export class RpcConnection {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #options: RpcOptions;
  #limits: RpcLimits;
  readonly #account: Account;
  /** Of items that wait for credit, and those that the owner holds for this peer (`hold`). */
  #itemBytes = 0;
  #ownerBytes = 0;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #deadlines: Deadlines;
  readonly #watchdog: StallWatchdog;
  /** The part of this connection that the peer's requests see. */
  readonly #requestHost: RequestHost;
  /** Ours, waiting for an answer. */
  readonly #pending: Pending;
  /** The peer's, waiting for ours. */
  readonly #serving = new Serving();
  readonly #rests: Rests;
  /** Other connections are served before the rest of the bytes that have arrived here. */
  #resting = false;
  #closing = false;
  #closed = false;
  #error: Error | undefined;

  constructor(socket: Socket, options: RpcOptions) {
    this.remote = socket.remote;
    this.#socket = socket;
    this.#options = options;
    this.#limits = withDefaults(options.limits);
    this.#decoder = new FrameDecoder({ maxBodyBytes: this.#limits.maxBodyBytes });
    this.#deadlines = new Deadlines(options.host);
    this.#rests = Rests.of(options.host);
    this.#account = new Account(this, options.budget);
    this.#pending = new Pending({
      remote: this.remote, deadlines: this.#deadlines, firstId: options.firstId ?? 1,
      send: (frame) => this.#send(frame),
    });
    const { maxOutboundBytes: limitBytes } = this.#limits;
    this.#outbox = new Outbox(socket, { host: options.host, limitBytes });
    const limits = (): RpcLimits => this.#limits;
    this.#requestHost = {
      get limits() {
        return limits();
      },
      isBehind: () => this.#outbox.heldBytes > this.#limits.streamBacklogBytes,
      send: (flags, requestId, body) => this.#send({ opcode: 0, flags, requestId, body }),
      sendLent: (requestId, body, crc) => {
        const check = crc === "bare" ? { isBare: true } : { bodyCrc: crc };
        this.#sendLent({ opcode: 0, flags: REPLY | MORE, requestId, body, ...check });
      },
      drained: () => this.drained(this.#limits.streamBacklogBytes),
      held: (bytes) => void (this.#itemBytes += bytes),
      forget: (requestId) => this.#serving.forget(requestId),
    };
    this.#watchdog = new StallWatchdog({
      clock: options.host.clock, deadlines: this.#deadlines, limits: this.#limits,
      giveUp: ({ code, message }) =>
        this.destroy(new RpcError(code, `Peer ${this.remote} ${message}`)),
    });
    // While the connection closes, lingerMs ends it sooner than any stall would.
    this.#outbox.onBlocked = () => {
      if (!this.#closing) this.#watchdog.blocked(this.#outbox);
    };
    this.#outbox.onEmpty = () => {
      if (this.#closing) this.#socket.end();
    };
    socket.handle({
      borrows: true,
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => {
        this.#outbox.onDrain();
        this.#account.charge();
      },
      onClose: (error) => this.#shut(error),
    });
  }

  /** True from `close`, `destroy` or the peer's end on: nothing new can be sent. */
  get closed(): boolean {
    return this.#closing || this.#closed;
  }

  /** Bytes that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#outbox.pendingBytes;
  }

  /** Requests without an answer yet, ours and the peer's. */
  get conversations(): number {
    return this.#pending.size + this.#serving.size;
  }

  /**
   * Asks and waits for the one answer. `deadlineMs` counts from now (Infinity: no limit). Rejects
   * with an RpcError: the peer's own, or CLOSED, DEADLINE, OVERLOADED, TOO_LARGE from this side.
   */
  request(
    opcode: number, body: Uint8Array,
    { deadlineMs = this.#limits.deadlineMs }: { deadlineMs?: number } = {},
  ): Promise<Buffer> {
    const refusal = this.#refusal(body);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      // A single reply was asked for, so an item breaks the protocol.
      const call: Call = { isPoured: false, item: () => false, done: resolve, fail: reject };
      this.#pending.start(call, { opcode, flags: 0, body, deadlineMs });
    });
  }

  /**
   * Asks for a stream. `deadlineMs` bounds the whole stream; none by default, as the reader sees
   * whether items come. `held` is told of items that wait for the reader: it knows who pays.
   */
  stream(opcode: number, body: Uint8Array, options: StreamOptions = {}): RpcStream {
    const { windows, held, deadlineMs = Infinity } = options;
    const window = windows?.open() ?? this.#limits.streamWindowBytes;
    let id = 0;
    const call = new StreamCall({
      window, windows, held,
      grant: (bytes) => this.#pending.grant(id, bytes),
      abort: () => this.#pending.abandon(id),
    });
    const refusal = this.#refusal(body);
    if (refusal !== undefined) call.fail(refusal);
    else {
      id = this.#pending.start(call, { opcode, flags: MORE, body, deadlineMs });
      this.#pending.grant(id, window);
    }
    return call;
  }

  /**
   * Sends without an answer. False: it was sent, and the peer is behind; await `drained()` before
   * the next one. On a closed connection it is false, too, and `drained()` rejects. Throws an
   * RpcError TOO_LARGE.
   */
  notify(opcode: number, body: Uint8Array): boolean {
    if (body.byteLength > this.#limits.maxBodyBytes) throw this.#tooLarge(body);
    if (this.closed) return false;
    this.#send({ opcode, flags: ONEWAY, requestId: 0, body });
    return !this.closed && !this.#outbox.behind;
  }

  /** Resolves once half of `limitBytes` is free again; rejects with CLOSED if it never will be. */
  drained(limitBytes = this.#limits.maxOutboundBytes): Promise<void> {
    if (this.closed) return Promise.reject(this.#closedError());
    return this.#outbox.drained(limitBytes);
  }

  /**
   * The peer has said who it is: from its next frame on other limits hold for it, and another
   * budget may count it.
   */
  admit(change: { limits?: Partial<RpcLimits>; budget?: Budget | undefined }): void {
    this.#limits = withDefaults({ ...this.#limits, ...change.limits });
    this.#decoder.limit(this.#limits.maxBodyBytes);
    this.#outbox.limit(this.#limits.maxOutboundBytes);
    this.#account.move(change.budget);
  }

  /**
   * The owner keeps that many bytes more for this peer, or fewer: they count like the bytes that
   * are kept here.
   */
  hold(bytes: number): void {
    this.#ownerBytes += bytes;
    this.#account.charge();
  }

  /** Memory that this peer makes us hold. Bytes in the socket count while it takes no more. */
  get heldBytes(): number {
    const { heldBytes, blocked } = this.#outbox;
    const out = heldBytes + (blocked ? this.#socket.pendingBytes : 0) + this.#itemBytes;
    return out + this.#decoder.heldBytes + this.#serving.heldBytes + this.#ownerBytes;
  }

  /** Sends what is queued, then closes. Requests under way on either side end: ours with CLOSED. */
  close(): void {
    if (this.closed) return;
    this.#closing = true;
    this.#endConversations(this.#closedError());
    this.#deadlines.clear();
    this.#deadlines.add(this.#limits.lingerMs, () => this.destroy());
    this.#outbox.flush();
  }

  /** Closes now and drops what is queued. An RpcError is told to the peer if there is room. */
  destroy(error?: Error): void {
    if (this.#closed) return;
    this.#error ??= error;
    if (error instanceof RpcError && this.#outbox.pendingBytes === 0 && !this.#closing) {
      const body = encodeError(error.code, error.message);
      this.#outbox.push({ opcode: 0, flags: REPLY | ERROR, requestId: 0, body });
      this.#outbox.flush();
    }
    this.#socket.destroy();
    this.#shut();
  }

  #onData(chunk: Buffer): void {
    if (this.closed) return;
    this.#guard(() => {
      this.#decoder.pushLent(chunk);
      if (!this.#resting) this.#read();
      this.#decoder.settle();
    });
    this.#account.charge();
  }

  #goOn(): void {
    this.#resting = false;
    if (this.closed) return;
    this.#socket.resume();
    this.#guard(() => this.#read());
    this.#account.charge();
  }

  // #region read
  /** Handles the frames that have arrived, until its slice of time ends. */
  #read(): void {
    const { clock } = this.#options.host;
    const until = clock.monotonic() + SLICE_MS;
    let count = 0;
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      this.#watchdog.heard();
      this.#dispatch(frame);
      if (this.closed) return;
      // Nobody knows what a request costs. Other frames are small work, and looked at by sixteens.
      const isRequest = frame.flags === 0 || frame.flags === MORE;
      if (!isRequest && ++count % SLICE_FRAMES !== 0) continue;
      const late = clock.monotonic() - until;
      if (late < 0) continue;
      this.#resting = true;
      this.#socket.pause();
      // After a slice of twice its length the others have a whole turn of the loop for themselves.
      return this.#rests.add(() => this.#goOn(), late >= SLICE_MS);
    }
  }
  // #endregion

  /** Bytes that cannot be a frame end the connection. */
  #guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      const code = error.code === "TOO_LARGE" ? error.code : "BAD_FRAME";
      this.destroy(new RpcError(code, error.message));
    }
  }

  // #region dispatch
  #dispatch(frame: Frame): void {
    const { flags, requestId, body } = frame;
    switch (flags) {
      case 0:
      case MORE:
        return this.#serve(frame);
      case REPLY:
        return this.#pending.forget(requestId)?.done(this.#decoder.own(body));
      case REPLY | ERROR:
        if (requestId === 0) return this.#goodbye(decodeError(body));
        return this.#pending.forget(requestId)?.fail(decodeError(body));
      case REPLY | MORE:
        return this.#item(frame);
      case ONEWAY:
        return this.#notified(frame);
      case CANCEL:
        return this.#serving.get(requestId)?.cancel();
      case CREDIT:
        if (body.length !== 4) return this.#violation(`credit of ${body.length} bytes, expected 4`);
        return this.#serving.get(requestId)?.granted(body.readUInt32BE());
      default:
        return this.#violation(`unknown flags ${flags}`);
    }
  }
  // #endregion

  #serve(frame: Frame): void {
    const { requestId: id, opcode } = frame;
    if (id === 0) return this.#violation("a request with id 0");
    if (this.#serving.has(id)) return this.#violation(`request ${id} is still being served`);
    const body = this.#decoder.own(frame.body);
    const incoming = new Incoming(this.#requestHost, {
      id, opcode, body, isStream: frame.flags === MORE,
    });
    const { onRequest } = this.#options;
    if (onRequest === undefined) {
      return incoming.fail("UNSUPPORTED", `Opcode ${opcode}: this side takes no requests`);
    }
    const found = this.#serving.add(id, incoming, this.#limits);
    if (found !== undefined) {
      return incoming.fail("OVERLOADED", `${found} are being served for this peer`);
    }
    try {
      // The type says void, and an async function fits it: without this its rejection would end the
      // process.
      const result: unknown = onRequest(incoming);
      if (result instanceof Promise) result.catch((error: unknown) => this.#threw(incoming, error));
    } catch (error) {
      this.#threw(incoming, error);
    }
  }

  #notified({ opcode, body }: Frame): void {
    try {
      this.#options.onNotify?.(opcode, this.#decoder.own(body));
    } catch (error) {
      // Nobody waits for an answer. Without a listener the bug stops the process, and is seen.
      if (this.#options.onHandlerError === undefined) throw error;
      this.#options.onHandlerError(error, opcode);
    }
  }

  #threw(incoming: Incoming, error: unknown): void {
    incoming.threw(error);
    if (!(error instanceof RpcError)) this.#options.onHandlerError?.(error, incoming.opcode);
  }

  #item({ requestId: id, body, bodyCrc }: Frame): void {
    const call = this.#pending.get(id);
    // The request was cancelled or its deadline passed, and the item crossed our CANCEL.
    if (call === undefined) return;
    if (call.item(call.isPoured ? body : this.#decoder.own(body), bodyCrc)) return;
    this.#violation(`an item of request ${id}, which is no stream or has no credit left`);
  }

  /** Why nothing may be sent now; undefined if it may. */
  #refusal(body: Uint8Array): RpcError | undefined {
    if (this.closed) return this.#closedError();
    const { maxBodyBytes, maxPending, maxOutboundBytes } = this.#limits;
    if (body.byteLength > maxBodyBytes) return this.#tooLarge(body);
    const { behind, heldBytes } = this.#outbox;
    if (!behind && this.#pending.size < maxPending) return undefined;
    const why = behind ? `${heldBytes} queued bytes exceed ${maxOutboundBytes}`
      : `${maxPending} requests wait for an answer`;
    return new RpcError("OVERLOADED", `Cannot send to ${this.remote}: ${why}`);
  }

  #sendLent(frame: FrameInit & { readonly body: Uint8Array }): void {
    if (this.closed) return;
    this.#outbox.pushLent(frame);
    this.#checkOutbox();
  }

  #send(frame: FrameInit): void {
    if (this.closed) return;
    this.#outbox.push(frame);
    this.#checkOutbox();
  }

  #checkOutbox(): void {
    const { heldBytes } = this.#outbox;
    const hardLimit = 2 * this.#limits.maxOutboundBytes;
    if (heldBytes <= hardLimit) return this.#account.charge();
    // Replies cannot be refused, so a peer that asks and never reads gets here. Dropping some
    // replies would be worse than ending the connection.
    const found = `${heldBytes} bytes exceed ${hardLimit}`;
    this.destroy(new RpcError("OVERLOADED", `Peer ${this.remote} does not read: ${found}`));
  }

  #tooLarge(body: Uint8Array): RpcError {
    const { maxBodyBytes } = this.#limits;
    const found = `${body.byteLength} bytes exceed ${maxBodyBytes}`;
    return new RpcError("TOO_LARGE", `Cannot send to ${this.remote}: ${found}`);
  }

  #violation(what: string): void {
    this.destroy(new RpcError("BAD_FRAME", `Cannot read from ${this.remote}: ${what}`));
  }

  /** The peer says why it closes: better than the bare end of the stream, which follows. */
  #goodbye(error: RpcError): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#shut();
  }

  /** Runs once, whichever side began to close. */
  #shut(error?: Error): void {
    this.#error ??= error;
    if (this.#closed) return;
    this.#closed = true;
    this.#account.close();
    this.#deadlines.clear();
    const reason = this.#closedError();
    this.#outbox.close(reason);
    this.#endConversations(reason);
    const { onClose } = this.#options;
    // Later, because the caller of `destroy` is still in the middle of its own work.
    if (onClose !== undefined) this.#options.host.timers.soon(() => onClose(this.#error));
  }

  #endConversations(reason: RpcError): void {
    this.#pending.end(reason);
    this.#serving.end();
  }

  #closedError(): RpcError {
    if (this.#error instanceof RpcError) return this.#error;
    const why = this.#error === undefined ? "closed" : this.#error.message;
    return new RpcError("CLOSED", `Connection to ${this.remote}: ${why}`);
  }
}
