/**
 * Lesson 22: a cloud: the machines of pools (lesson 13) are ordered from it, and it keeps few
 * promises. What becomes of each order is in the plan.
 *
 *     up ──takeMs──▶ rented ──bootMs──▶ its worker runs ──▶ gone          down ──ms──▶ gone
 *                      └──answerMs──▶ the answer                            └──────▶ the answer
 *
 * It is nobody's process: the master may die at any moment of this, and what was rented stays
 * rented.
 *
 * Invariant: the judge hears of every order, and of the number of machines, in the moment in which
 * they change.
 * Test: test/22-simulation.pools.test.ts
 */
import type { EndPlan, OrderPlan, PoolPlan, WorkerPlan } from "./plan.ts";
import type { Stage } from "./stage.ts";

/** A machine that is to end has so long to stop its worker in order. */
const GRACE_MS = 800;

/** How a call ended: with a handle (of `down`: an empty one), or with an error. */
export type CloudAnswer = { readonly handle: string } | { readonly error: string };

interface Machine {
  readonly name: string;
  readonly pool: string;
  readonly handle: string;
  /** It was told to end, and does not count any more. */
  isEnding: boolean;
}

export interface CloudRoom {
  /** Starts a worker on a machine of this name. */
  boot(plan: WorkerPlan): void;
  /** Ends it, in order; resolves once it is gone. */
  stop(name: string): Promise<void>;
  /** Its power goes. */
  kill(name: string): void;
  /** Number of the master's life, to know whether it died meanwhile. */
  life(): number;
}

export class Cloud {
  readonly #stage: Stage;
  readonly #room: CloudRoom;
  readonly #machines = new Map<string, Machine>();
  readonly #taken = new Map<string, number>();
  readonly #told = new Map<string, number>();
  #handles = 0;

  constructor(stage: Stage, room: CloudRoom) {
    this.#stage = stage;
    this.#room = room;
  }

  /** Of each pool, the machines that nobody has told to end. */
  get counts(): ReadonlyMap<string, number> {
    const counts = new Map((this.#stage.plan.pools ?? []).map(({ name }) => [name, 0]));
    for (const { pool, isEnding } of this.#machines.values()) {
      if (!isEnding) counts.set(pool, counts.get(pool)! + 1);
    }
    return counts;
  }

  /** Somebody runs the pool's `up`. */
  up(order: { pool: string; name: string }, answer: (how: CloudAnswer) => void): void {
    const pool = this.#poolOf(order.pool);
    if (pool === undefined) return;
    const { orders } = pool;
    const fate = this.#stage.healing
      ? { ...orders[0]!, fate: "comes" as const, bootMs: 100 }
      : next(orders, this.#taken, pool.name);
    const life = this.#room.life();
    this.#stage.note(`m orders ${order.name}: ${fate.fate}`);
    this.#stage.ask(() => this.#stage.judge.pools.ordered(order));
    this.#stage.after(fate.takeMs, () => {
      if (!fate.outlives && this.#room.life() !== life) return this.#say(`${order.name} is lost`);
      this.#take({ ...order, plan: pool }, fate, answer);
    });
  }

  #take(
    { name, plan }: { name: string; plan: PoolPlan },
    fate: OrderPlan,
    answer: (how: CloudAnswer) => void,
  ): void {
    const later = (ms: number, fn: () => void): void => void this.#stage.after(ms, fn);
    const refused = { error: "no machine can be had" };
    if (fate.fate === "refused") return later(fate.answerMs, () => answer(refused));
    const machine = { name, pool: plan.name, handle: `m${++this.#handles}`, isEnding: false };
    this.#machines.set(name, machine);
    this.#say(`${name} is rented`);
    this.#stage.ask(() => {
      this.#stage.judge.pools.rented(plan.name, this.counts.get(plan.name)!);
    });
    if (fate.fate === "wrongly-refused") later(fate.answerMs, () => answer(refused));
    else if (fate.fate !== "unanswered") {
      later(fate.answerMs, () => answer({ handle: machine.handle }));
    }
    if (fate.fate === "never") return;
    later(fate.bootMs, () => {
      if (this.#machines.get(name) !== machine || machine.isEnding) return;
      this.#room.boot({ name, slots: plan.slots, tags: plan.tags });
      if (fate.fate === "dies") later(fate.livesMs, () => this.#room.kill(name));
    });
  }

  /** Somebody runs the pool's `down`. Without a handle, the name tells which machine is meant. */
  down(
    wish: { pool: string; name: string; handle: string }, answer: (how: CloudAnswer) => void,
  ): void {
    const pool = this.#poolOf(wish.pool);
    if (pool === undefined) return;
    const fate: EndPlan = this.#stage.healing
      ? { fate: "ends", ms: 50 }
      : next(pool.ends, this.#told, pool.name);
    this.#stage.note(`m ends ${wish.name} (${wish.handle || "no handle"}): ${fate.fate}`);
    this.#stage.ask(() => this.#stage.judge.pools.ending(wish));
    const done = { handle: "" };
    const machine = this.#machines.get(wish.name);
    const isMeant = machine !== undefined && ["", machine.handle].includes(wish.handle);
    this.#stage.after(fate.ms, () => {
      if (fate.fate === "fails") return answer({ error: "the cloud does not answer" });
      const say = (): void => { if (fate.fate !== "unanswered") answer(done); };
      if (!isMeant) return say();
      machine.isEnding = true;
      if (fate.fate === "early") say();
      void this.#end(machine).then(() => { if (fate.fate !== "early") say(); });
    });
  }

  async #end({ name }: Machine): Promise<void> {
    const patience = new Promise<void>((resolve) => void this.#stage.after(GRACE_MS, resolve));
    await Promise.race([this.#room.stop(name), patience]);
    this.#room.kill(name);
    this.gone(name);
  }

  /** The machine is off, for whatever reason, and nobody pays for it any more. */
  gone(name: string): void {
    if (this.#machines.delete(name)) this.#say(`${name} is gone`);
  }

  #poolOf(name: string): PoolPlan | undefined {
    return this.#stage.plan.pools?.find((pool) => pool.name === name);
  }

  #say(what: string): void {
    this.#stage.note(`cloud: ${what}`);
  }
}

/** The next of a list, from the beginning after the last. */
function next<T>(list: readonly T[], counts: Map<string, number>, pool: string): T {
  const count = counts.get(pool) ?? 0;
  counts.set(pool, count + 1);
  return list[count % list.length]!;
}
