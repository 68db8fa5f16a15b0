/**
 * Lesson 22: programs of the simulated cluster that are agents: they add jobs to their run, ask
 * people, sleep, and end their attempt while they wait (lesson 18).
 *
 *     sim ms=40 adds=2 asks=1 naps=300     after 40 ms, as a program with titan-orchestrator/job
 *
 * The calls are the real ones (src/sdk/job-waits.ts), over the simulated network, with the
 * credential that the worker has given to the program. A program that loses its connection begins
 * again at its top, as its next attempt would.
 *
 * Left out: steps. When a nap ends is remembered here, outside of the cluster.
 * Test: test/22-simulation.test.ts
 */
import { RpcError } from "#rpc";
import { connect, ConnectError, JobWaits, type Client, type JobInput } from "#sdk";
import type { SimProcess, SimWorld } from "#simhost";

/** What an agent does, in so many calls. */
export interface AgentScript {
  readonly adds: number;
  /** Steps that each of the jobs takes that it adds. */
  readonly theirs: number;
  readonly asks: number;
  readonly naps: number;
}

/** Before another connection. */
const REDIAL_MS = 150;
/** The master cannot be reached, or has lost the request: the same call is made again. */
const PASSING = new Set(["CLOSED", "DEADLINE", "OVERLOADED", "CANCELLED"]);

export class ProgramAgents {
  readonly #world: () => SimWorld;
  readonly #clients = new Map<string, Promise<Client>>();
  /** When naps end, by the job that takes them. */
  readonly #naps = new Map<string, number>();

  constructor(world: () => SimWorld) {
    this.#world = world;
  }

  /** Resolves when there is nothing left to do: the program may go on to its end. */
  begin(program: SimProcess, script: AgentScript, done: () => void): void {
    const opening = this.#open(program);
    this.#clients.set(nameOf(program), opening);
    opening.then((client) => this.#act(program, script, client)).then(done, (error: unknown) => {
      // A program that has ended, or is on a machine that is down, is not asked any more.
      if (isPassing(error)) program.after(REDIAL_MS, () => this.begin(program, script, done));
      else program.exit(1);
    });
  }

  close(program: Pick<SimProcess, "host" | "pid">): void {
    const client = this.#clients.get(nameOf(program));
    this.#clients.delete(nameOf(program));
    client?.then((open) => open.close(), () => undefined);
  }

  async #open({ host, env }: SimProcess): Promise<Client> {
    const master = env["TITAN_MASTER"]!;
    const token = env["TITAN_TOKEN"]!;
    return connect({ host: this.#world().host(host), master, token });
  }

  async #act(program: SimProcess, script: AgentScript, client: Client): Promise<void> {
    const { host: machine, env } = program;
    const [run, job] = [env["TITAN_RUN"]!, env["TITAN_JOB"]!];
    const host = this.#world().host(machine);
    const step = async <T>(name: string, _input: unknown, fn: () => T): Promise<T> => {
      const key = `${run}/${job}/${name}`;
      if (!this.#naps.has(key)) this.#naps.set(key, fn() as number);
      return this.#naps.get(key) as T;
    };
    const end = (): void => program.exit(0);
    const waits = new JobWaits({ run, host, client, step, end });
    const { adds, theirs, asks, naps } = script;
    const questions = Array.from({ length: asks }, (_, n) =>
      waits.ask(`q${n}`, { message: `${job} asks`, timeout: "20m" }));
    const added = adds === 0 ? Promise.resolve([])
      : waits.spawn("k", childrenOf(job, adds, theirs)).then((children) => waits.settled(children));
    await Promise.all([added, ...questions]);
    if (naps > 0) await waits.sleep("nap", naps);
  }
}

function childrenOf(job: string, count: number, steps: number): JobInput[] {
  return Array.from({ length: count }, (_, n) => ({
    id: `${job}-${n}`,
    command: ["sim", `ms=${10 * (n + 1)}`, ...(steps > 0 ? [`steps=${steps}`] : [])],
    ...(n > 0 && n % 2 === 0 && { needs: `${job}-${n - 1}` }),
  }));
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectError || (error instanceof RpcError && PASSING.has(error.code));
}

function nameOf({ host, pid }: Pick<SimProcess, "host" | "pid">): string {
  return `${host}:${pid}`;
}
