/** A gate as a job that waits: it asks every five seconds whether somebody has answered. */
const HOUR = 3600;
const LIMIT = 48 * HOUR;
const SLOTS = 2;

interface Job { readonly name: string; readonly isGate: boolean; waitedSince?: number; tries: number }

const queue: Job[] = [
  { name: "release-a/gate", isGate: true, tries: 0 },
  { name: "release-b/gate", isGate: true, tries: 0 },
  { name: "backup", isGate: false, tries: 0 },
];
const running: Job[] = [];
const status = new Map<string, string>();
const DAYS = ["Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

function say(now: number, what: string): void {
  const hours = Math.floor(now / HOUR) + 17;
  console.log(`${DAYS[Math.floor(hours / 24)]} ${String(hours % 24).padStart(2, "0")}:00  ${what}`);
}

function start(now: number): void {
  while (running.length < SLOTS && queue.length > 0) {
    const job = queue.shift()!;
    running.push({ ...job, waitedSince: now, tries: job.tries + 1 });
    say(now, `${job.name} starts`);
  }
}

function end(job: Job, now: number, how: string): void {
  running.splice(running.indexOf(job), 1);
  say(now, `${job.name} ends: ${how}`);
}

start(0);
say(0, "both slots wait for a person; backup waits for a slot");
for (let now = 0; now <= 97 * HOUR; now += 5) {
  if (now === 16 * HOUR) {
    say(now, "ada approves release-a, and bob rejects it in the same five seconds");
    status.set("release-a/gate", "APPROVED");
    status.set("release-a/gate", "REJECTED");
  }
  if (now === 40 * HOUR) {
    say(now, "the worker is restarted: its jobs start again");
    for (const job of [...running]) queue.push(job), running.splice(running.indexOf(job), 1);
    start(now);
  }
  for (const job of [...running]) {
    const answer = status.get(job.name);
    if (!job.isGate && now - job.waitedSince! >= HOUR) end(job, now, "done");
    else if (answer !== undefined) end(job, now, answer);
    else if (job.isGate && now - job.waitedSince! >= LIMIT) {
      end(job, now, `TIMEOUT, ${Math.floor(now / HOUR)} hours after it was asked`);
    }
  }
  start(now);
}
