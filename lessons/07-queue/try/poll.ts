/** One simulated day, 100 delayed jobs: a loop that looks every 10 ms, and one that sleeps until `nextAt`. */
import { TimerHeap } from "#queue";

const DAY_MS = 24 * 60 * 60 * 1000;
const POLL_MS = 10;

/** Delays as retries and cron make them: anywhere in the day, to the millisecond. */
function dueTimes(count: number): number[] {
  let state = 42;
  return Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % DAY_MS);
}

type Outcome = { wakeups: number; looks: number; latestMs: number };

/** Wakes every 10 ms, looks at every timer. */
function byPolling(times: readonly number[]): Outcome {
  let waiting = [...times];
  const outcome = { wakeups: 0, looks: 0, latestMs: 0 };
  for (let now = 0; now <= DAY_MS; now += POLL_MS) {
    outcome.wakeups++;
    outcome.looks += waiting.length;
    if (!waiting.some((at) => at <= now)) continue;
    for (const at of waiting) if (at <= now) outcome.latestMs = Math.max(outcome.latestMs, now - at);
    waiting = waiting.filter((at) => at > now);
  }
  return outcome;
}

/** Looks at the top of the heap, sleeps exactly that long. The clock is a number; sleeping is an assignment. */
function bySleeping(times: readonly number[]): Outcome {
  const timers = new TimerHeap<number>();
  for (const at of times) timers.push(at, at);
  const outcome = { wakeups: 0, looks: 0, latestMs: 0 };
  while (timers.nextAt !== undefined) {
    const now = timers.nextAt;
    outcome.wakeups++;
    for (let at = timers.popDue(now); at !== undefined; at = timers.popDue(now)) {
      outcome.looks++;
      outcome.latestMs = Math.max(outcome.latestMs, now - at);
    }
  }
  return outcome;
}

const times = dueTimes(100);
for (const [name, run] of Object.entries({ polling: byPolling, sleeping: bySleeping })) {
  const { wakeups, looks, latestMs } = run(times);
  const cells = [`${wakeups.toLocaleString("en")} wake-ups`, `${looks.toLocaleString("en")} looks at a timer`];
  // "millisecond(s)" is spelt out: this number is exact, and the same on every machine.
  console.log(`${name.padEnd(8)}  ${cells.join(", ")}, at worst ${latestMs} millisecond(s) late`);
}
