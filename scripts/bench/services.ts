/**
 * `titan forward` beside socat, in turns: bytes from a service, and a round trip to it. The way
 * through Titan has three programs in a row, so it is compared with one socat and with three.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { CLI, firstLine, freePort, inPlace, type Options, type Place } from "./programs.ts";
import { median, rate, rowOf, timed, type Row } from "./table.ts";

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

const row = rowOf("services");

export async function services({ quick }: Options): Promise<Row[]> {
  return inPlace(async (place) => {
    writeFileSync(join(place.dir, "service.mjs"), SERVICE);
    const titan = (...args: string[]): Promise<Record<string, unknown>> =>
      firstLine(place.start(process.execPath, [CLI, ...args, "--json"], {
        stdio: ["ignore", "pipe", "ignore"],
      }));
    const up = await titan("up", "--workers", "1", "--port", "0", "--state", "st");
    const master = ["--master", up["master"] as string];
    const made = await titan("deploy", "--name", "s", ...master, "service.mjs");
    const [replica] = made["services"] as { port: number }[];
    const { port } = await titan("forward", "s", ...master);
    const ways = { direct: replica!.port, forward: port as number };
    return [...(await throughput(ways, { place, quick })), await roundTrip(ways)];
  });
}

interface Ways {
  readonly direct: number;
  readonly forward: number;
}

async function throughput(
  ways: Ways, { place, quick }: { place: Place; quick: boolean },
): Promise<Row[]> {
  const name = (peer: string): string => `\`titan forward\`, bytes a second beside ${peer}`;
  if (spawnSync("socat", ["-V"]).status !== 0) {
    const note = "not measured: socat not in PATH";
    return [row(name("socat"), [Number.NaN, "×"], { note })];
  }
  const bytes = (quick ? 256 : 1024) * PIECE_BYTES;
  const one = await socat(place, ways.direct);
  const three = await socat(place, await socat(place, one));
  const rates: Record<"titan" | "one" | "three", number[]> = { titan: [], one: [], three: [] };
  await hear(ways.forward, bytes); // warm-up
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    rates.one.push(await rate(bytes, () => hear(one, bytes)));
    rates.titan.push(await rate(bytes, () => hear(ways.forward, bytes)));
    rates.three.push(await rate(bytes, () => hear(three, bytes)));
  }
  const ours = median(rates.titan);
  const megabytes = (each: number): string => `${Math.round(each / 1e6)} MB/s`;
  const beside = (peer: string, all: readonly number[], more: Pick<Row, "target"> = {}): Row => {
    const theirs = median(all);
    const note = `${megabytes(ours)}, socat ${megabytes(theirs)}; medians in turns`;
    return row(name(peer), [ours / theirs, "×"], { ...more, note });
  };
  return [
    beside("socat", rates.one, { target: { atLeast: 0.5 } }),
    beside("three socats in a row", rates.three),
  ];
}

async function roundTrip(ways: Ways): Promise<Row> {
  const times: Record<keyof Ways, number[]> = { direct: [], forward: [] };
  for (const way of ["direct", "forward"] as const) {
    const socket = await dial(ways[way]);
    socket.write("0");
    for (let i = 0; i < ROUND_TRIPS; i++) {
      times[way].push(await timed(() => {
        const heard = once(socket, "data");
        socket.write("ping");
        return heard;
      }));
    }
    socket.destroy();
  }
  const [direct, forward] = [median(times.direct), median(times.forward)];
  return row("`titan forward`, added to a round trip", [forward - direct, "ms"], {
    target: { atMost: 1 },
    note: `medians of ${ROUND_TRIPS}: ${forward.toFixed(2)} ms, straight to it ` +
      `${direct.toFixed(2)} ms`,
  });
}

/** Asks the service for so many bytes, and hears them all. */
async function hear(port: number, bytes: number): Promise<void> {
  const socket = await dial(port);
  let heard = 0;
  socket.on("data", (piece) => (heard += piece.length));
  socket.write(String(bytes));
  await once(socket, "close");
  if (heard !== bytes) throw new Error(`Cannot measure: ${heard} bytes of ${bytes} came`);
}

/** A relay in front of a port; resolves with its own. */
async function socat({ start }: Place, to: number): Promise<number> {
  const port = await freePort();
  start("socat", [`TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`, `TCP:127.0.0.1:${to}`]);
  for (let tries = 0; ; tries++) {
    try {
      (await dial(port)).destroy();
      return port;
    } catch (error) {
      if (tries > 200) throw error;
      await pause(20);
    }
  }
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}
