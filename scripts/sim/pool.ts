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
  #next: number;
  #failed: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#next = options.from;
  }

  /** Every life once, in the order in which they end. */
  async *lives(): AsyncGenerator<Summary> {
    const { jobs, seeds, from } = this.#options;
    if (jobs === 1) {
      for (; !this.stopped && this.#next < from + seeds; this.#next++) {
        yield summaryOf(await simulate(generatePlan(this.#next)));
      }
      return;
    }
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
    const { from, seeds } = this.#options;
    if (this.stopped || this.#next >= from + seeds) return child.disconnect();
    child.send({ seed: this.#next++ });
  }
}
