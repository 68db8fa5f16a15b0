/**
 * Lesson 14: the two streams of one connection, found together by a number.
 *
 *     Opener.open ── FORWARD id ──▶ accept
 *     pulled      ◀── PULL id ────    │
 *     (waits)     ◀── item "" ────────┘   there is a connection: the PULL came before this
 *
 * The empty item says that the taker has reached what it was asked for. Until then a failure is
 * only that nobody was reached: not a byte has been read from the asker, so another one can be
 * tried.
 *
 * Test: test/14-services.forward.test.ts
 */
import {
  RpcError, type IncomingRequest, type RpcConnection, type RpcStream, type StreamOptions,
  type Windows,
} from "#rpc";
import { Op, Pull } from "#wire";

/** The far end of a connection. */
export interface End {
  /** Its bytes. */
  readonly says: RpcStream;
  /** Takes bytes for it. */
  readonly hears: IncomingRequest;
}

const REACHED = new Uint8Array(0);

interface Expected {
  readonly from: RpcConnection;
  request: IncomingRequest | undefined;
}

/** The side that asks, with all that it has asked and that nobody has taken yet. */
export class Opener {
  readonly #expected = new Map<number, Expected>();
  readonly #windows: Windows;
  #lastId = 0;

  /** `windows`: of what the far ends say. */
  constructor(windows: Windows) {
    this.#windows = windows;
  }

  /** Connections that are being opened. */
  get size(): number {
    return this.#expected.size;
  }

  /**
   * Asks with `opcode`, and a body that names the number. `held` is told of bytes that wait here.
   *
   * @throws {RpcError} why there is no connection; nothing is left of it
   */
  async open(
    connection: RpcConnection,
    ask: {
      opcode: number;
      body(id: number): Uint8Array;
      held?: StreamOptions["held"];
      onStream?: (says: RpcStream) => void;
    },
  ): Promise<End> {
    const id = this.#nextId();
    const expected: Expected = { from: connection, request: undefined };
    this.#expected.set(id, expected);
    const { held } = ask;
    const says = connection.stream(ask.opcode, ask.body(id), { held, windows: this.#windows });
    ask.onStream?.(says);
    try {
      const { done } = await says[Symbol.asyncIterator]().next();
      const hears = expected.request;
      if (done !== true && hears !== undefined) return { says, hears };
      throw new RpcError("BAD_REQUEST", "Cannot connect: the other side did not ask back");
    } catch (error) {
      says.cancel();
      expected.request?.fail("CANCELLED", "There is no connection");
      throw error;
    } finally {
      this.#expected.delete(id);
    }
  }

  /** A PULL has come: for one that this peer was asked to open, or for none. */
  pulled(request: IncomingRequest, from: RpcConnection): void {
    const { id, bare } = Pull.decode(request.body);
    request.takesBare = bare;
    const expected = this.#expected.get(id);
    if (expected?.from === from && expected.request === undefined) expected.request = request;
    else request.fail("NOT_FOUND", `Cannot pull connection ${id}: nobody opens it`);
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    while (this.#expected.has(this.#lastId));
    return this.#lastId;
  }
}

/** The side that was asked has reached what was wanted: `request` asked, as its number `id`. */
export function accept(
  request: IncomingRequest,
  asker: {
    connection: RpcConnection; id: number; bare: boolean; windows: Windows;
    held?: StreamOptions["held"];
  },
): End {
  const { connection, id, held, windows } = asker;
  request.takesBare = asker.bare;
  const says = connection.stream(Op.PULL, Pull.encode({ id, bare: true }), { held, windows });
  request.item(REACHED);
  return { says, hears: request };
}
