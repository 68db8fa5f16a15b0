/** Several processes, each living one seed at a time; a single one needs no child. */
import { fork, type ChildProcess } from "node:child_process";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generatePlan, simulate } from "#simulation";
import type { Options } from "./options.ts";
import { summaryOf, type Summary } from "./totals.ts";

/** Run as this file is: from the sources, or compiled. */
const CHILD = join(dirname(fileURLToPath(import.meta.url)), `child${extname(import.meta.url)}`);

export class Pool {
  stopped = false;
  readonly #options: Options;
  readonly #children = new Set<ChildProcess>();
  readonly #done: Summary[] = [];
  /** What is to be lived yet: seeds that come before all others, and then from `next` on. */
  readonly #early: number[];
  readonly #isEarly: ReadonlySet<number>;
  #next: number;
  #failed: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#next = options.from;
    this.#early = options.powerFirst ? seedsWithPowerCuts(options) : [];
    this.#isEarly = new Set(this.#early);
  }

  /** Every life once, in the order in which they end. */
  async *lives(): AsyncGenerator<Summary> {
    const { jobs, seeds } = this.#options;
    const isAlone = jobs === 1;
    // A child takes seconds to begin: what may break at once is lived here.
    while (!this.stopped && (isAlone || this.#early.length > 0)) {
      const seed = this.#take();
      if (seed === undefined) return;
      yield summaryOf(await simulate(generatePlan(seed)));
    }
    if (this.stopped) return;
    for (let count = Math.min(jobs, seeds); count > 0; count--) this.#start();
    while (this.#children.size > 0 || this.#done.length > 0) {
      while (this.#done.length > 0) yield this.#done.shift()!;
      if (this.#failed !== undefined) throw this.#failed;
      if (this.#children.size > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Lives that are under way are still lived to their end, no new one is begun. */
  stop(): void {
    this.stopped = true;
  }

  #start(): void {
    const child = fork(CHILD, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#children.add(child);
    child.on("message", (life) => {
      this.#done.push(life as Summary);
      this.#give(child);
      this.#wake();
    });
    child.on("exit", (code) => {
      this.#children.delete(child);
      if (code !== 0) this.#failed ??= new Error(`a process of the simulation ended with ${code}`);
      this.#wake();
    });
    this.#give(child);
  }

  #give(child: ChildProcess): void {
    const seed = this.stopped ? undefined : this.#take();
    if (seed === undefined) return child.disconnect();
    child.send({ seed });
  }

  /** The next seed; undefined when all are lived. */
  #take(): number | undefined {
    const { from, seeds } = this.#options;
    const early = this.#early.shift();
    if (early !== undefined) return early;
    while (this.#isEarly.has(this.#next)) this.#next++;
    return this.#next < from + seeds ? this.#next++ : undefined;
  }
}

/** Plans that are looked at for power cuts, and lives that come first for them. */
const [LOOKS, EARLY] = [60, 6];

/**
 * A log that is not made durable is found by no other fault. The seeds in whose plans the master's
 * power goes most often come first, and among them those with the fewest steps: they are the
 * quickest to live and to shrink.
 */
export function seedsWithPowerCuts(
  { from, seeds }: Pick<Options, "from" | "seeds">,
): number[] {
  const all = Array.from({ length: Math.min(LOOKS, seeds) }, (_, at) => from + at).map((seed) => {
    const { faults, steps } = generatePlan(seed);
    const cuts = faults.filter((fault) => fault.kind === "crash" && fault.target === "m").length;
    return { seed, cuts, steps: steps.length };
  });
  const cut = all.filter(({ cuts }) => cuts > 0);
  cut.sort((a, b) => b.cuts - a.cuts || a.steps - b.steps || a.seed - b.seed);
  return cut.slice(0, EARLY).map(({ seed }) => seed);
}
