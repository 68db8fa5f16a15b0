/** How many callers must share an fsync? */
import { openLog } from "#log";
import { SimWorld } from "#simhost";
import { lab } from "../../scripts/learn/lab-kit.ts";

const RECORDS = 1000;
/** A spinning disk: the case for which group commit was invented. */
const SYNC_MS = 10;

await lab({
  title: "Records per fsync",
  about: `${RECORDS} records are appended, each is waited for, and an fsync takes ${SYNC_MS} ms. The knob is how many ` +
    "callers append at the same time. The first number is how many fsyncs it takes.",
  knob: "callers", unit: "callers", least: 1, most: 1000, first: 4, solution: 25,
  budget: "at most 40 fsyncs, with at most 30 callers",
  why: "While one fsync is under way the others gather, so a group has as many records as there are callers. Nobody waits " +
    "longer than before: the caller that is alone pays a whole fsync for its record, too.",
  async run(callers) {
    const world = new SimWorld({ seed: 5, syncMs: [SYNC_MS, SYNC_MS] });
    const host = world.host("m");
    let longest = 0;
    const log = await world.settle(openLog({ host, dir: "/log" }));
    const before = log.stats.fsyncs;
    const caller = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const start = world.now;
        await log.durable(log.append(Buffer.alloc(40)));
        longest = Math.max(longest, world.now - start);
      }
    };
    const shares = Array.from({ length: callers }, (_, at) => Math.floor((RECORDS + at) / callers));
    await world.settle(Promise.all(shares.map(caller)));
    const fsyncs = log.stats.fsyncs - before;
    return {
      numbers: [
        { name: "fsyncs", value: fsyncs, unit: "" },
        { name: "longest wait", value: longest, unit: "ms" },
        { name: "all of it took", value: world.now, unit: "ms" },
      ],
      isWithin: fsyncs <= 40 && callers <= 30,
    };
  },
});
