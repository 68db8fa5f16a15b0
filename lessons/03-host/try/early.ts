/** Asks twenty times for 5.9 ms, from Node and from the host. */
import { nodeHost } from "#host";

const { clock, timers } = nodeHost();

async function measure(name: string, sleep: (fn: () => void) => unknown): Promise<void> {
  let shortest = Infinity;
  for (let i = 0; i < 20; i++) {
    const asked = clock.monotonic();
    await new Promise<void>((resolve) => sleep(resolve));
    shortest = Math.min(shortest, clock.monotonic() - asked);
  }
  console.log(`${name} ${shortest < 5.9 ? "too early" : "in time"}: the shortest of 20 sleeps took ${shortest.toFixed(1)} ms`);
}

await measure("setTimeout(fn, 5.9)  ", (fn) => setTimeout(fn, 5.9));
await measure("timers.after(5.9, fn)", (fn) => timers.after(5.9, fn));
