/**
 * Lesson 03: the real host, on Node.
 *
 * The only folder that may import node:net, node:fs and node:child_process, or look at a clock.
 * Each field is a small file of its own; this one puts them together.
 */
import { nodeNetwork } from "./network.ts";
import { nodeRandom } from "./random.ts";
import { nodeStorage } from "./storage.ts";
import { nodeClock, nodeTimers } from "./time.ts";
import type { Host } from "./types.ts";

/**
 * The machine this process runs on. Cheap, without state of its own: two hosts in one process see
 * the same machine.
 *
 * @example
 * ```ts
 * import { nodeHost } from "#host";
 * const host = nodeHost();
 * const before = host.clock.monotonic();
 * await new Promise<void>((resolve) => void host.timers.after(5, resolve));
 * host.clock.monotonic() - before >= 5 // => true
 * ```
 */
export function nodeHost(): Host {
  return {
    clock: nodeClock(),
    timers: nodeTimers(),
    random: nodeRandom(),
    network: nodeNetwork(),
    storage: nodeStorage(),
  };
}
