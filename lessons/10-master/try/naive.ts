/** Three masters without a log, killed at every step of a small life: what was lost, and what ran twice? */
type Status = "waiting" | "running" | "done";
type Memory = Map<number, Status>;
const JOBS = 10;

/** What can happen to a job, and what the world is told about it. */
const STEPS = [..."ABCDEFGHIJ"].flatMap((_, job) => [
  { job, to: "waiting", told: "client: accepted" },
  { job, to: "running", told: "worker: run it" },
  { job, to: "done", told: "worker: you may forget it" },
] as const);

/** Each policy is an order of three things: change the memory, tell the world, save. `every`: saves at every n-th step only. */
const POLICIES = {
  "now and then": { order: ["change", "tell", "save"], every: 7 },
  "act, then save": { order: ["change", "tell", "save"], every: 1 },
  "save, then act": { order: ["change", "save", "tell"], every: 1 },
} as const;

function live(policy: (typeof POLICIES)[keyof typeof POLICIES], killedAfter: number) {
  let memory: Memory = new Map();
  let disk: Memory = new Map();
  const accepted = new Set<number>();
  const held = new Set<number>(); // what the worker runs, or has to report
  const runs = Array.from({ length: JOBS }, () => 0);
  const tell = (job: number, to: Status): void => {
    if (to === "waiting") accepted.add(job);
    if (to === "running") { runs[job]! += 1; held.add(job); }
    if (to === "done") held.delete(job);
  };
  let actions = 0;
  let saved = 0;
  life: for (const [i, { job, to }] of STEPS.entries()) {
    for (const action of policy.order) {
      if (actions++ === killedAfter) break life;
      if (action === "change") memory.set(job, to);
      if (action === "tell") tell(job, to);
      if (action === "save" && (i + 1) % policy.every === 0) { disk = new Map(memory); saved += memory.size; }
    }
  }
  // The master is started again; the worker and the client never stopped.
  memory = new Map(disk);
  for (const [job, status] of memory) {
    if (status === "running" && held.has(job)) memory.set(job, "done"); // the worker reports it
    else if (status !== "done") tell(job, "running"); // nobody has it: it starts
  }
  return { lost: [...accepted].filter((job) => !memory.has(job)).length, twice: runs.filter((n) => n > 1).length, saved, actions };
}

console.log("a master that saves   killed   jobs lost   run twice   rows written in a whole life");
for (const [name, policy] of Object.entries(POLICIES)) {
  const whole = live(policy, Infinity);
  const lives = Array.from({ length: whole.actions }, (_, at) => live(policy, at));
  const sum = (of: "lost" | "twice") => lives.reduce((total, life) => total + life[of], 0);
  console.log(`${name.padEnd(20)} ${String(lives.length).padStart(3)} times ${String(sum("lost")).padStart(9)} ${String(sum("twice")).padStart(11)} ${String(whole.saved).padStart(14)}`);
}
