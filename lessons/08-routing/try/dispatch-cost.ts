/** What one dispatch costs: pick a worker, take a slot, give another slot back. A scan of all workers against the router. */
import { requirementKey, Router } from "#routing";

interface Plain {
  id: number;
  tags: Set<string>;
  slots: number;
  running: number;
}

/** The obvious way: look at everybody. */
function scan(workers: readonly Plain[], tags: readonly string[]): Plain | undefined {
  let best: Plain | undefined;
  for (const worker of workers) {
    if (worker.running >= worker.slots || !tags.every((tag) => worker.tags.has(tag))) continue;
    if (best === undefined || worker.running / worker.slots < best.running / best.slots) best = worker;
  }
  return best;
}

/** Mean time of `dispatch`, in µs, over about a tenth of a second after a warm-up of the same length. */
function measure(dispatch: () => void): string {
  for (let round = 0; ; round++) {
    let count = 0;
    const start = process.hrtime.bigint();
    while (process.hrtime.bigint() - start < 100_000_000n) {
      for (let i = 0; i < 10; i++) dispatch();
      count += 10;
    }
    if (round === 1) return `${(Number(process.hrtime.bigint() - start) / 1000 / count).toFixed(2)} µs`;
  }
}

for (const count of [10, 100, 1_000, 10_000]) {
  const plain: Plain[] = Array.from({ length: count }, (_, id) => ({ id, tags: new Set(["GENERAL", "GPU"]), slots: 8, running: 0 }));
  const router = new Router();
  for (const { id, slots } of plain) router.addWorker({ id, tags: ["GPU"], slots });
  const key = requirementKey(["GPU"]);

  let turn = 0;
  const scanned = measure(() => {
    scan(plain, ["GPU"])!.running++;
    const ended = plain[(turn = (turn + 7919) % count)]!;
    if (ended.running > 0) ended.running--;
  });
  const routed = measure(() => {
    router.take(router.pick(key)!);
    const ended = (turn = (turn + 7919) % count);
    if (router.running(ended) > 0) router.release(ended);
  });
  console.log(`${count} workers: scan ${scanned}, router ${routed}`);
}
