/** Why does my job wait? One small fleet, and what the router says about it. */
import { describe, requirementKey, Router } from "#routing";

const router = new Router();
router.addWorker({ id: 1, tags: ["GPU"], slots: 1 });
router.addWorker({ id: 2, tags: ["GPU"], slots: 1 });
router.addWorker({ id: 3, tags: ["SSD"], slots: 4 });

function ask(tags: string[], pinned?: number): void {
  const key = requirementKey(tags, pinned);
  console.log(`${key.padEnd(13)} ${describe(router.explain(key))}`);
}

ask([]);
ask(["GPU"]);
ask(["HIGH_MEM", "GPU"]);
ask(["SSD", "GPU"]);
ask(["GPU"], 3);
ask([], 9);

console.log("\njobs run on 1 and 2, and 2 is draining:");
router.take(1);
router.take(2);
router.setDraining(2, true);
ask([]);
ask(["GPU"]);
ask(["GPU"], 1);
