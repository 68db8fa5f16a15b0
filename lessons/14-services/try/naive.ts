/** A keeper as one writes it first: when the program ends, start it again. Its database is away for ten seconds, and later a child outlives it. */
import { SimWorld } from "#simhost";
import type { Listener } from "#host";

const world = new SimWorld({ seed: 14, latencyMs: [1, 1] });
const say = (what: string): void => console.log(`${(world.now / 1000).toFixed(3).padStart(7)} s  ${what}`);
const host = world.host("machine");
const pass = (ms: number): Promise<void> => new Promise((resolve) => void host.timers.after(ms, resolve));

const PORT = 8080;
let starts = 0;
let isDatabaseUp = false;
/** The port's listener: it belongs to a child of the program, which the keeper does not know. */
let child: Listener | undefined;
let exit: () => void = () => undefined;

/** Takes 40 ms to start, and ends at once if anything is wrong. */
async function program(): Promise<string> {
  starts += 1;
  await pass(40);
  if (!isDatabaseUp) return "no database";
  try {
    child = await host.network.listen({ host: "127.0.0.1", port: PORT }, (socket) => socket.destroy());
  } catch (error) {
    return (error as { code: string }).code;
  }
  say(`listens on ${PORT}, after ${starts} starts`);
  return new Promise((ended) => { exit = () => ended("killed"); });
}

async function keep(): Promise<void> {
  for (let last = "", same = 0; ; ) {
    const why = await program();
    same = why === last ? same + 1 : 1;
    last = why;
    if (same === 1) say(`ended (${why}): started again at once`);
  }
}

await world.settle((async () => {
  say("started: its port is told to everybody");
  void keep();
  await host.network.dial({ host: "127.0.0.1", port: PORT }).catch((error: Error) => say(`the first client: ${(error as { code?: string }).code}`));
  await pass(10_000);
  say(`${starts} starts in ten seconds; the database is back`);
  isDatabaseUp = true;
  await pass(1000);
  starts = 0;
  say("the program is killed, and its child is not: it has the port");
  exit();
  await pass(10_000);
  say(`${starts} starts in ten seconds, and ${child === undefined ? "no" : "an old"} child answers the clients`);
})());
