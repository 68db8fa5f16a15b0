/**
 * A server comes back after an outage and 500 clients that waited for it try at once. It takes one request in each
 * 10 ms and turns the rest away; who was turned away backs off and tries again. What does jitter change?
 *
 *     npm run -s try 09/herd [seed]
 */
import { backoffDelayMs, randomFrom, retryPolicy } from "#retry";

const SEED = process.argv[2] ?? "42";
const [CLIENTS, WINDOW_MS, PER_WINDOW] = [500, 10, 1];

console.log(`${CLIENTS} clients, ${PER_WINDOW} request per ${WINDOW_MS} ms: at best all are served after ${(CLIENTS / PER_WINDOW) * WINDOW_MS / 1000} s. Seed ${SEED}\n`);
console.log("jitter               requests   turned away   last one served   busiest 10 ms   idle");
for (const [name, jitter] of [["none", 0], ["equal (0.5)", 0.5], ["full (1)", 1]] as const) {
  const policy = retryPolicy({ maxAttempts: 10_000, delayMs: 100, backoff: 2, maxDelayMs: 5000, jitter });
  const random = randomFrom(`${SEED}/${name}`);
  /** Who tries in which window, and how often it failed before. */
  const windows: number[][] = [Array.from({ length: CLIENTS }, () => 0)];
  let [requests, served, busiest, idle] = [0, 0, 0, 0];
  let window = 0;
  for (; served < CLIENTS; window++) {
    const trying = windows[window] ?? [];
    requests += trying.length;
    busiest = Math.max(busiest, window === 0 ? 0 : trying.length); // the first window is the same for all
    if (trying.length === 0) idle++;
    served += Math.min(trying.length, PER_WINDOW);
    for (const failures of trying.slice(PER_WINDOW)) {
      const later = window + Math.max(1, Math.round(backoffDelayMs(policy, failures + 1, random) / WINDOW_MS));
      (windows[later] ??= []).push(failures + 1);
    }
  }
  const seconds = `${((window * WINDOW_MS) / 1000).toFixed(1)} s`;
  console.log(`${name.padEnd(20)} ${String(requests).padStart(8)} ${String(requests - CLIENTS).padStart(13)} ${seconds.padStart(17)} ${String(busiest).padStart(15)} ${`${Math.round((100 * idle) / window)}%`.padStart(6)}`);
}
