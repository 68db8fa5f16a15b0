/**
 * Chapter 09's bank in a world of a hundred lines: a plan, a world, a judge, and a shrinker.
 *
 * The bank keeps keys, and writes the charge first and the key after it. Both writes are durable when they are done.
 */
import { seededRandom } from "#host";

const ORDERS = 20;
const [TRAVEL_MS, TIMEOUT_MS, RESTART_MS] = [20, 100, 30];

/** What goes wrong, and when: the answer or the request under way is lost, or the bank loses power. */
interface Fault { readonly at: number; readonly kind: "lose" | "crash" }
interface Plan { readonly seed: number; readonly faults: readonly Fault[] }

function generatePlan(seed: number): Plan {
  const random = seededRandom(seed);
  const count = random.u32() % 13;
  const faults = Array.from({ length: count }, () => ({ at: random.u32() % 1500, kind: random.unit() < 0.5 ? "lose" as const : "crash" as const }));
  return { seed, faults: faults.sort((a, b) => a.at - b.at) };
}

/** One life. Returns what was broken, if anything, and what happened. */
function live({ seed, faults }: Plan): { broken: string | undefined; trace: string[] } {
  const random = seededRandom(seed);
  const pending: { at: number; run: () => void }[] = [];
  const trace: string[] = [];
  const charges: number[] = []; // the bank's disk
  const keys = new Set<number>(); // the bank's disk, too
  let now = 0, life = 1, up = true, lose = false, order = 1;
  const after = (ms: number, run: () => void): void => {
    pending.splice(pending.findLastIndex((other) => other.at > now + ms) + 1, 0, { at: now + ms, run });
  };
  const say = (text: string): void => void trace.push(`  t=${String(now).padEnd(5)} ${text}`);
  const send = (run: () => void): void => {
    if (!lose) return after(TRAVEL_MS, run);
    lose = false;
    say("the network loses it");
  };
  /** A write takes one or two milliseconds. If the power goes before its end, it was never made. */
  const write = (made: () => void): void => {
    const mine = life;
    after(1 + random.u32() % 2, () => { if (up && life === mine) made(); });
  };
  const onRequest = (id: number): void => {
    if (!up) return;
    const answer = (): void => send(() => onAnswer(id));
    if (keys.has(id)) return answer();
    write(() => {
      charges.push(id);
      say(`bank charges order ${id}`);
      write(() => { keys.add(id); answer(); });
    });
  };
  const ask = (): void => {
    const id = order;
    say(`shop asks for order ${id}`);
    send(() => onRequest(id));
    after(TIMEOUT_MS, () => { if (order === id) ask(); });
  };
  const onAnswer = (id: number): void => {
    if (order === id && ++order <= ORDERS) ask();
  };
  for (const { at, kind } of faults) {
    after(at, () => {
      if (kind === "lose") return void (lose = true);
      if (!up) return;
      [up, life] = [false, life + 1];
      say("the bank loses power");
      after(RESTART_MS, () => { up = true; });
    });
  }
  ask();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    now = next.at;
    next.run();
    // The judge: after every step, and not only at the end, so that the trace ends where it broke.
    const twice = charges.find((id, index) => charges.indexOf(id) !== index);
    if (twice !== undefined) return { broken: `order ${twice} was charged twice`, trace };
  }
  return { broken: order > ORDERS ? undefined : `order ${order} was never answered`, trace };
}

/** Takes faults away one by one, and keeps it so if it still breaks. */
function shrink(plan: Plan): { plan: Plan; lives: number } {
  let lives = 0;
  for (let at = plan.faults.length - 1; at >= 0; at--) {
    const without = { ...plan, faults: plan.faults.filter((_, index) => index !== at) };
    lives += 1;
    if (live(without).broken !== undefined) plan = without;
  }
  return { plan, lives };
}

const seeds = Array.from({ length: 1000 }, (_, index) => index + 1);
const calm = seeds.filter((seed) => live({ seed, faults: [] }).broken !== undefined);
console.log(`1000 lives in which nothing goes wrong:   ${calm.length} broken`);
const broken = seeds.filter((seed) => live(generatePlan(seed)).broken !== undefined);
console.log(`1000 lives with up to a dozen faults:     ${broken.length} broken, the first with seed ${broken[0]}\n`);
const first = generatePlan(broken[0]!);
const small = shrink(first);
console.log(`seed ${first.seed} has ${first.faults.length} faults; after ${small.lives} more lives ${small.plan.faults.length} of them are left, and each is needed`);
const { broken: what, trace } = live(small.plan);
console.log(`  ${small.plan.faults.map(({ at, kind }) => `${kind} at ${at}`).join(", ")}\n  ...and in the end:`);
console.log([...trace.slice(-5), `  ${what}`].join("\n"));
