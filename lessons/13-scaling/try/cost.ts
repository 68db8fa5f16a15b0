/** What one plan costs: workers of four hundred kinds, and classes of which no two are alike. */
import { definePool, plan } from "#scaling";

const pools = Array.from({ length: 16 }, (_, i) => definePool({ name: `p${i}`, tags: [`T${i}`], slots: 4, max: 4096 }));

/** Processor time, the best of five rounds of several plans each: somebody else may use this machine, too. */
function costOf(workerCount: number, classCount: number): number {
  const workers = Array.from({ length: workerCount }, (_, id) => {
    const tags = [`T${id % 16}`, `U${id % 100}`];
    const pool = id % 2 === 0 ? `p${id % 16}` : undefined;
    return { id, name: `w${id}`, pool, tags, slots: 4, busy: id % 5, services: 0, idleSince: 0, permanent: false, state: "ready" } as const;
  });
  const waiting = Array.from({ length: classCount }, (_, i) => ({ key: `T${i % 16}+U${i}`, jobs: 7, since: 0 }));
  const plans = 10 + Math.ceil(10_000 / workerCount);
  const rounds = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    for (let i = 0; i < plans; i++) plan({ waiting, workers, starts: [], history: new Map() }, pools, 60_000);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / plans;
  });
  return Math.min(...rounds);
}

costOf(100, 10); // the compiler warms up
for (const [workers, classes] of [[10, 1], [100, 10], [1000, 100], [10_000, 1000]] as const) {
  console.log(`${workers} workers, ${classes} classes: ${costOf(workers, classes).toFixed(0)} µs`);
}
