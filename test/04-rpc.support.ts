/**
 * Two connected RpcConnections, in a simulated world or over real loopback, for the tests of
 * chapter 04.
 */
import { encodeFrame, FrameDecoder, type Frame } from "#framing";
import { nodeHost, type Host, type Socket } from "#host";
import { RpcConnection, type RpcOptions } from "#rpc";
import { SimWorld, type SimOptions } from "#simhost";

export type PeerOptions = Omit<RpcOptions, "host">;

export interface Pair {
  readonly a: RpcConnection;
  readonly b: RpcConnection;
  /** How often, and with what, each side was told that it is over. */
  readonly closes: { a: Array<Error | undefined>; b: Array<Error | undefined> };
  /** Waits for a promise, driving virtual time if that is what there is. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** Lets this many milliseconds pass. */
  pass(ms: number): Promise<void>;
  over(): Promise<void>;
}

export interface SimPair extends Pair {
  readonly world: SimWorld;
}

function recorder(options: PeerOptions, closes: Array<Error | undefined>): PeerOptions {
  return { ...options, onClose: (error) => { closes.push(error); options.onClose?.(error); } };
}

export type Wrap = (socket: Socket, side: "a" | "b") => Socket;

/** `a` dialled, `b` listened. */
export async function simPair(
  a: PeerOptions,
  b: PeerOptions,
  options: Partial<SimOptions> & { wrap?: Wrap; wrapHost?: (host: Host) => Host } = {},
): Promise<SimPair> {
  const { wrap = (socket) => socket, wrapHost = (host) => host, ...simOptions } = options;
  const world = new SimWorld({ seed: 1, ...simOptions });
  const [hostA, hostB] = [wrapHost(world.host("a")), world.host("b")];
  const closes: Pair["closes"] = { a: [], b: [] };
  let accepted: RpcConnection | undefined;
  const listener = await hostB.network.listen({ host: "b", port: 0 }, (socket) => {
    accepted = new RpcConnection(wrap(socket, "b"), { ...recorder(b, closes.b), host: hostB });
  });
  const dialled = hostA.network
    .dial(listener)
    .then(
      (socket) => new RpcConnection(wrap(socket, "a"), { ...recorder(a, closes.a), host: hostA }),
    );
  const left = await world.settle(dialled);
  return {
    world,
    closes,
    a: left,
    b: accepted!,
    until: (promise) => world.settle(promise),
    pass: (ms) => world.run(world.now + ms),
    over: async () => {
      left.close();
      await world.run();
    },
  };
}

export async function realPair(a: PeerOptions, b: PeerOptions): Promise<Pair> {
  const host = nodeHost();
  const closes: Pair["closes"] = { a: [], b: [] };
  let gone = (): void => {};
  const bothGone = new Promise<void>((resolve) => {
    let open = 2;
    gone = () => void (--open === 0 && resolve());
  });
  let accept = (_: RpcConnection): void => {};
  const accepted = new Promise<RpcConnection>((resolve) => (accept = resolve));
  const withGone = (options: PeerOptions): PeerOptions => ({
    ...options,
    onClose: (error) => {
      options.onClose?.(error);
      gone();
    },
  });
  const listener = await host.network.listen({ host: "127.0.0.1", port: 0 }, (socket) =>
    accept(new RpcConnection(socket, { ...recorder(withGone(b), closes.b), host })));
  const left = new RpcConnection(await host.network.dial(listener), {
    ...recorder(withGone(a), closes.a),
    host,
  });
  const right = await accepted;
  await listener.close();
  return {
    closes, a: left, b: right,
    until: (promise) => promise,
    pass: (ms) => new Promise((resolve) => void host.timers.after(ms, resolve)),
    over: async () => {
      left.close();
      await bothGone;
    },
  };
}

export const WORLDS: ReadonlyArray<
  readonly [name: string, make: (a: PeerOptions, b: PeerOptions) => Promise<Pair>]
> = [
  ["simulated", simPair],
  ["simulated, chunks cut anywhere", (a, b) => simPair(a, b, { splitChunks: true, seed: 3 })],
  ["loopback", realPair],
];

/** A peer that speaks frames and keeps no rules. `got` is what it received. */
export interface RawPeer {
  readonly world: SimWorld;
  readonly victim: RpcConnection;
  readonly socket: Socket;
  readonly got: Frame[];
  readonly closes: Array<Error | undefined>;
  /** Sends frames, or bytes as they are, and lets everything happen that follows within `ms`. */
  send(...parts: Array<Parameters<typeof encodeFrame>[0] | Buffer>): Promise<void>;
}

export async function rawPeer(
  options: PeerOptions,
  sim: Partial<SimOptions> = {},
): Promise<RawPeer> {
  const world = new SimWorld({ seed: 1, ...sim });
  const host: Host = world.host("victim");
  const closes: Array<Error | undefined> = [];
  let victim: RpcConnection | undefined;
  const listener = await host.network.listen({ host: "victim", port: 0 }, (socket) => {
    victim = new RpcConnection(socket, { ...recorder(options, closes), host });
  });
  const got: Frame[] = [];
  const decoder = new FrameDecoder();
  const socket = await world.settle(world.host("peer").network.dial(listener));
  socket.handle({
    onData: (chunk) => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        got.push({ ...frame, body: Buffer.from(frame.body) });
      }
    },
    onClose: () => {},
  });
  return {
    world,
    victim: victim!,
    socket,
    got,
    closes,
    send: async (...parts) => {
      for (const part of parts) socket.write(Buffer.isBuffer(part) ? part : encodeFrame(part));
      await world.run(world.now + 50);
    },
  };
}
