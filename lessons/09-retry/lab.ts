/** How much chance does a pause need? */
import { backoffDelayMs, randomFrom, retryPolicy } from "#retry";
import { lab } from "../../scripts/learn/lab-kit.ts";

const CLIENTS = 500;
const WINDOW_MS = 10;

await lab({
  title: "The herd",
  about: `A server is back, and ${CLIENTS} clients try at once. It takes one request in ${WINDOW_MS} ms and turns the ` +
    "others away, who back off. The knob is the jitter of their pauses. The first number is the seconds until all are served.",
  knob: "jitter", unit: "(0 none, 1 full)", least: 0, most: 1, first: 0, solution: 1,
  budget: "all are served within 15 s, with at most 3,500 requests",
  why: "Without chance all who were turned away together come back together, and one of them is served. Chance spreads " +
    "them over the pause, and the more of the pause it takes, the fewer meet.",
  run(jitter) {
    const policy = retryPolicy({ maxAttempts: 10_000, delayMs: 100, backoff: 2, maxDelayMs: 5000, jitter });
    const random = randomFrom(`lab/${jitter}`);
    const windows: number[][] = [Array.from({ length: CLIENTS }, () => 0)];
    let [requests, served, window] = [0, 0, 0];
    for (; served < CLIENTS; window++) {
      const trying = windows[window] ?? [];
      requests += trying.length;
      served += Math.min(1, trying.length);
      for (const failures of trying.slice(1)) {
        const pause = backoffDelayMs(policy, failures + 1, random) / WINDOW_MS;
        (windows[window + Math.max(1, Math.round(pause))] ??= []).push(failures + 1);
      }
    }
    const seconds = (window * WINDOW_MS) / 1000;
    return {
      numbers: [
        { name: "the last one is served after", value: seconds, unit: "s" },
        { name: "requests", value: requests, unit: "" },
      ],
      isWithin: seconds <= 15 && requests <= 3500,
    };
  },
});
