/**
 * Gates of old clients, who know them by four keys of the store:
 *
 *     titan:hitl:queue            ids of all gates there have been
 *     titan:hitl:status:GATE      CLEARED, then WAITING, then APPROVED, REJECTED or TIMEOUT
 *     titan:hitl:message:GATE     the question
 *     titan:hitl:ts:GATE          since when it waits, in ms
 *
 * The state of a gate is the master's, so two of the keys are not read from the store: `status`
 * from the moment at which the gate opens, and `ts`. A client that writes APPROVED or REJECTED
 * decides. A decision that is written before its gate opens counts when it opens, if it still
 * stands there.
 *
 * Invariants: the first decision stays, and a later one that differs is refused in words; a
 * decision from before a gate was submitted does not count.
 * Test: test/dialect.cluster.test.ts
 */
import { isTerminal } from "#core";
import { isAtGate } from "#wire";
import { RpcError, type Client, type JobInfo } from "#sdk";
import type { OldKeys } from "./keys.ts";
import { dagId } from "./jobs.ts";
import { VERSIONS } from "./names.ts";
import type { Parts } from "./parts.ts";

const QUEUE = "titan:hitl:queue";
const STATUS = "titan:hitl:status:";
const MESSAGE = "titan:hitl:message:";
const SINCE = "titan:hitl:ts:";
const BY = "titan 1";
/** The name under which the master itself closes a gate that nobody has answered. */
const CLOCK = "titan";

interface Gate {
  readonly run: string;
  readonly job: string;
}

export class OldGates {
  readonly #parts: Parts;
  readonly #keys: OldKeys;
  /** Gates that are not open yet and have an answer, by RUN/JOB. */
  readonly #followed = new Set<string>();
  readonly #end = new AbortController();

  constructor(parts: Parts, keys: OldKeys) {
    this.#parts = parts;
    this.#keys = keys;
  }

  close(): void {
    this.#end.abort();
  }

  /** Before a submission. Without a store, gates are answered by `titan approve` alone. */
  async announce(gates: ReadonlyMap<string, string>): Promise<void> {
    try {
      for (const [gate, message] of gates) {
        await this.#keys.set(`${STATUS}${gate}`, Buffer.from("CLEARED"));
        await this.#keys.set(`${MESSAGE}${gate}`, Buffer.from(message));
        await this.#keys.add(QUEUE, Buffer.from(gate));
      }
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
  }

  /** The value of a key of a gate, if the master knows better than the store. */
  async read(key: string): Promise<string | undefined> {
    if (key.startsWith(STATUS)) return this.#status(key.slice(STATUS.length));
    if (!key.startsWith(SINCE)) return undefined;
    const gate = this.#named(key.slice(SINCE.length));
    if (gate === undefined) return undefined;
    const gates = await (await this.#parts.client()).gates();
    return gates.find(({ id }) => id === `${gate.run}/${gate.job}`)?.openedAt.toString();
  }

  async #status(id: string): Promise<string | undefined> {
    const gate = this.#named(id);
    const job = gate && await this.#look(gate);
    if (job !== undefined && isAtGate(job)) return "WAITING";
    const decision = job?.decision;
    if (decision === undefined) return undefined;
    if (decision.approved) return "APPROVED";
    return decision.by === CLOCK ? "TIMEOUT" : "REJECTED";
  }

  /** After a key was written. Returns why it does not decide what it was to decide. */
  async written(key: string, bytes: Buffer): Promise<string | undefined> {
    if (!key.startsWith(STATUS) || !isDecision(bytes.toString())) return undefined;
    const gate = this.#named(key.slice(STATUS.length));
    return gate && this.#answer(gate, bytes.toString());
  }

  /** After a start: decisions that came before their gates, and before the last stop. */
  async resume(): Promise<void> {
    for (const { id: run, spec, jobs, open } of this.#parts.view.runsAfter(0)) {
      if (open === 0 || spec.version !== VERSIONS.dag) continue;
      for (const { spec: { id: job, gate }, status } of jobs) {
        if (gate === undefined || isTerminal(status)) continue;
        const value = await this.#keyOf({ run, job });
        if (isDecision(value)) await this.#answer({ run, job }, value);
      }
    }
  }

  /** The gate that its keys are about: the newest one of this name. */
  #named(id: string): Gate | undefined {
    const meant = this.#parts.names.find(dagId(id));
    return meant === undefined || meant.isRun ? undefined : meant;
  }

  /** What the status key of a gate says; empty if the key is about a newer gate by now. */
  async #keyOf({ run, job }: Gate): Promise<string> {
    if (this.#named(job)?.run !== run) return "";
    return (await this.#keys.get(`${STATUS}${job}`))?.toString() ?? "";
  }

  /** Undefined: its run is forgotten. */
  async #look({ run, job }: Gate): Promise<JobInfo | undefined> {
    try {
      return (await (await this.#parts.client()).status(run, job)).jobs[0];
    } catch (error) {
      if (error instanceof RpcError && error.code === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** Now, or when it opens. Returns why not. */
  async #answer(gate: Gate, value: string): Promise<string | undefined> {
    const job = await this.#look(gate);
    if (job === undefined) return undefined;
    if (isAtGate(job) || job.decision !== undefined) return this.#decide(gate, value);
    if (!isTerminal(job.status)) this.#follow(gate);
    return undefined;
  }

  async #decide({ run, job }: Gate, value: string): Promise<string | undefined> {
    const client = await this.#parts.client();
    const approve = value === "APPROVED";
    const { approved, by, already } = await client.decide(`${run}/${job}`, { approve, by: BY });
    if (!already || approved === approve) return undefined;
    return `ERROR: ${job} was ${approved ? "APPROVED" : "REJECTED"} before, by ${by}`;
  }

  /** Waits until the gate opens, and then answers it with what its key says. */
  #follow(gate: Gate): void {
    const name = `${gate.run}/${gate.job}`;
    if (this.#followed.has(name)) return;
    this.#followed.add(name);
    const done = this.#parts.client().then((client) => this.#answerOnce(client, gate));
    // The master has gone, or the store: a person can still answer.
    done.catch(() => undefined).finally(() => this.#followed.delete(name));
  }

  async #answerOnce(client: Client, gate: Gate): Promise<void> {
    for await (const event of client.watch(gate.run, { signal: this.#end.signal })) {
      const job = event.type === "job" && event.job === gate.job ? event.change
        : event.type === "snapshot" ? event.jobs.find(({ id }) => id === gate.job)
        : undefined;
      if (job !== undefined && isTerminal(job.status)) return;
      if (job === undefined || !isAtGate(job)) continue;
      const value = await this.#keyOf(gate);
      if (isDecision(value)) await this.#decide(gate, value);
      return;
    }
  }
}

function isDecision(value: string): boolean {
  return value === "APPROVED" || value === "REJECTED";
}
