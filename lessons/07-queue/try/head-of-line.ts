/** 1,000 jobs that need a GPU wait in front of 1,000 that need nothing. No GPU is free; the others want to run. */
import { ReadyQueue, RequirementQueues } from "#queue";

type Job = { id: string; needs: "GPU" | ""; priority: number };

const jobs: Job[] = [
  ...Array.from({ length: 1_000 }, (_, i) => ({ id: `train-${i}`, needs: "GPU" as const, priority: 9 })),
  ...Array.from({ length: 1_000 }, (_, i) => ({ id: `mail-${i}`, needs: "" as const, priority: 1 })),
];
const free = (needs: string) => needs !== "GPU";

// One queue for all. To get at a mail, every train is popped, found impossible, and put back.
const single = new ReadyQueue<Job>();
jobs.forEach((job, order) => single.push(job, { priority: job.priority, order }));
const orders = new Map(jobs.map((job, order) => [job, order]));
let looks = 0;
for (let sent = 0; sent < 1_000; ) {
  const impossible: Job[] = [];
  for (let job = single.pop(); job !== undefined; job = single.pop()) {
    looks++;
    if (free(job.needs)) {
      sent++;
      break;
    }
    impossible.push(job);
  }
  for (const job of impossible) single.push(job, { priority: job.priority, order: orders.get(job)! });
}
console.log(`one queue for all:       ${looks.toLocaleString("en")} jobs looked at to send 1,000`);

// One queue per requirement: the question "is anything free for you?" is asked once per class.
const classes = new RequirementQueues<Job>();
jobs.forEach((job, order) => classes.push(job.needs, job, { priority: job.priority, order }));
looks = 0;
for (let sent = 0; sent < 1_000; sent++) {
  const key = classes.best((needs) => (looks++, free(needs)))!;
  classes.pop(key);
}
console.log(`a queue per requirement: ${looks.toLocaleString("en")} heads looked at to send 1,000`);
