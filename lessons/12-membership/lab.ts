/** How long may somebody be silent? */
import { Leases } from "#membership";
import { lab } from "../../scripts/learn/lab-kit.ts";

const BEAT_MS = 1000;
const WORKERS = 100;
const HOUR_MS = 3_600_000;
/** Every ten minutes one of the workers is busy with something else for up to so long. */
const PAUSE_EVERY_MS = 600_000 / WORKERS;
const LONGEST_PAUSE_MS = 3500;

await lab({
  title: "Silence",
  about: `${WORKERS} workers beat once a second. Each pauses every ten minutes, for up to ${LONGEST_PAUSE_MS / 1000} s, and goes on. One ` +
    "dies, its connection stays open. The knob is the lease. The first number is how long its job waits until it starts elsewhere.",
  knob: "lease", unit: "ms", least: 3100, most: 60_000, first: 4000, solution: 5000,
  budget: "the job of the dead one starts elsewhere within 6 s, and in an hour nobody alive is given up",
  why: "Nothing tells a pause from a death but time. A lease that outlasts every pause gives up no living worker, and each " +
    "second of it is a second that the job of a dead one waits.",
  run(leaseMs) {
    const leases = new Leases<number>({ beatMs: BEAT_MS, leaseMs, graceMs: 80 });
    /** Worker 0 dies in the middle. */
    const diesAt = HOUR_MS / 2;
    const pausedUntil = new Map<number, number>();
    let [wrong, pauses] = [0, 0];
    let foundAt = 0;
    for (let id = 0; id < WORKERS; id++) leases.grant(id, 0);
    for (let now = BEAT_MS; now <= HOUR_MS; now += BEAT_MS) {
      for (; pauses * PAUSE_EVERY_MS <= now; pauses++) {
        const length = LONGEST_PAUSE_MS * ((pauses * 37) % 100) / 100;
        pausedUntil.set((pauses * 17) % WORKERS, now + length);
      }
      for (let id = 0; id < WORKERS; id++) {
        const isSilent = (pausedUntil.get(id) ?? 0) > now || (id === 0 && now >= diesAt);
        if (!isSilent) leases.renew(id, now);
      }
      for (const { id } of leases.check(now)) {
        if (id === 0 && now >= diesAt) foundAt = now;
        else {
          wrong += 1;
          leases.grant(id, now);
        }
      }
    }
    const waits = (foundAt - diesAt) / 1000;
    return {
      numbers: [
        { name: "the dead one's job waits", value: waits, unit: "s" },
        { name: "given up although alive", value: wrong, unit: "in an hour" },
      ],
      isWithin: wrong === 0 && waits <= 6,
    };
  },
});
