/** How many dead entries may a queue hold? */
import { ReadyQueue } from "#queue";
import { seededRandom } from "#host";
import { lab } from "../../scripts/learn/lab-kit.ts";

const [LIVE, CANCELLED] = [1000, 50_000];
interface Job { isLive: boolean }

await lab({
  title: "The dead in the heap",
  about: `${LIVE.toLocaleString("en")} jobs wait. One after the other is cancelled and a new one comes, ${CANCELLED.toLocaleString("en")} times. A cancelled job stays ` +
    "in the heap until `compact` drops all the dead. The knob is the part of the queue that may be dead before that is " +
    "done. The first number is at how many entries `compact` looks for each job that was cancelled.",
  knob: "dead", unit: "% of the queue", least: 1, most: 99, first: 5, solution: 50,
  budget: "at most 2.5 looks for a cancelled job, and at most 2.2 entries for each that is live",
  why: "With a part p of the queue dead, a pass looks at 1/p entries for each that it drops, and the queue is 1/(1-p) " +
    "times as long as what is live in it. At one half both are two: that is why the chapter says \"more than half\".",
  run(dead) {
    const random = seededRandom(7);
    const queue = new ReadyQueue<Job>();
    const jobs: Job[] = [];
    let [order, looks, longest] = [0, 0, 0];
    const come = (place: number): void => {
      const job = (jobs[place] = { isLive: true });
      queue.push(job, { priority: Math.floor(10 * random.unit()), order: order++ });
    };
    for (let place = 0; place < LIVE; place++) come(place);
    for (let count = 0; count < CANCELLED; count++) {
      const place = Math.floor(LIVE * random.unit());
      jobs[place]!.isLive = false;
      come(place);
      longest = Math.max(longest, queue.size);
      if (queue.size - LIVE <= (dead / 100) * queue.size) continue;
      queue.compact((job) => (looks++, job.isLive));
    }
    return {
      numbers: [
        { name: "looks for a cancelled job", value: Math.round((10 * looks) / CANCELLED) / 10, unit: "" },
        { name: "entries for a live one", value: Math.round((10 * longest) / LIVE) / 10, unit: "at most" },
      ],
      isWithin: looks / CANCELLED <= 2.5 && longest / LIVE <= 2.2,
    };
  },
});
