/** The same on the real clock: five jobs that are due within a second, and what the waiting costs. */
import { nodeHost } from "#host";
import type { Host } from "#host";
import { TimerHeap } from "#queue";

// #region driver
/** Runs each item when it is due. The host has one timer, for the earliest: nothing is polled. */
class Alarm<T> {
  wakeups = 0;
  readonly #timers = new TimerHeap<T>();
  readonly #host: Host;
  readonly #run: (item: T) => void;
  #armed: { at: number; cancel(): void } | undefined;

  constructor(host: Host, run: (item: T) => void) {
    this.#host = host;
    this.#run = run;
  }

  add(item: T, at: number): void {
    this.#timers.push(item, at);
    this.#arm();
  }

  #arm(): void {
    const at = this.#timers.nextAt;
    if (at === this.#armed?.at) return;
    // Only a new earliest item gets here: a thousand later ones cost the host nothing.
    this.#armed?.cancel();
    this.#armed = undefined;
    if (at === undefined) return;
    const timer = this.#host.timers.after(at - this.#host.clock.monotonic(), () => this.#wake());
    this.#armed = { at, cancel: () => timer.cancel() };
  }

  #wake(): void {
    this.wakeups++;
    this.#armed = undefined;
    const now = this.#host.clock.monotonic();
    for (;;) {
      const item = this.#timers.popDue(now);
      if (item === undefined) break;
      this.#run(item);
    }
    this.#arm();
  }
}
// #endregion

const host = nodeHost();
const start = host.clock.monotonic();
const cpuBefore = process.cpuUsage();
const delays = [1000, 250, 251, 500, 250];
let left = delays.length;

const alarm = new Alarm<number>(host, (delay) => {
  const late = host.clock.monotonic() - start - delay;
  const early = late < 0 ? "EARLY" : "not early";
  console.log(`due after ${delay} ms: ran ${late.toFixed(1)} ms late, ${early}`);
  if (--left > 0) return;
  const { user, system } = process.cpuUsage(cpuBefore);
  const few = alarm.wakeups <= delays.length;
  console.log(`${delays.length} jobs, at most ${delays.length} wake-ups: ${few}`);
  console.log(`processor time for waiting 1000 ms: ${((user + system) / 1000).toFixed(1)} ms`);
});
for (const delay of delays) alarm.add(delay, start + delay);
