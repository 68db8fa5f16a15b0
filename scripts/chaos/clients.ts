/**
 * Two clients that want their answer: they ask again, with the same key, until they have it, and
 * write down what they were told.
 *
 * Invariant: a request is repeated only if repeating it changes nothing (a key, a cancel, a
 * question).
 */
import { nodeHost } from "#host";
import { RpcError } from "#rpc";
import { connect, type Client } from "#sdk";
import type { JobStatus, PipelineSpec, RunInfo } from "#wire";
import type { Acknowledgement } from "../../src/simulation/invariants.ts";
import type { Draw } from "./draw.ts";
import { smallPipeline, withEffects } from "./pipelines.ts";

const host = nodeHost();
/**
 * An answer that has not come by then is asked for again, over another connection: the lost answer
 * is what we are here for.
 */
const ANSWER_MS = 2500;
const AGAIN_MS = 50;
/** How often somebody looks for open gates. */
const GATES_MS = 200;
/** The pause between two small runs. */
const PAUSE_MS = { min: 100, max: 500 } as const;

/**
 * Something that a client was told, in the order in which it was told; in the words of lesson 22's
 * judge.
 */
export type Told =
  | Extract<Acknowledgement, { what: "submit" | "cancel" | "gate" }>
  | { what: "seen"; run: string; job: string; status: JobStatus; attempt: number }
  | { what: "hash"; seq: number; hash: string };

export class Asker {
  readonly #port: number;
  readonly #stopped: AbortSignal;
  #client: Client | undefined;
  /** Requests that had to be made again. */
  repeats = 0;

  constructor(port: number, stopped: AbortSignal) {
    this.#port = port;
    this.#stopped = stopped;
  }

  /** Asks until there is an answer. Undefined: stopped before there was one. */
  async ask<T>(question: (client: Client) => Promise<T>): Promise<T | undefined> {
    while (!this.#stopped.aborted) {
      try {
        this.#client ??= await connect({
          host,
          master: { host: "127.0.0.1", port: this.#port },
          timeoutMs: ANSWER_MS,
        });
        return await withinTime(question(this.#client));
      } catch (error) {
        if (error instanceof RpcError && !error.retryable) throw error;
        this.close();
        this.repeats += 1;
        await pause(AGAIN_MS);
      }
    }
    return undefined;
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

export interface Submitter {
  readonly asker: Asker;
  readonly effects: string;
  readonly tell: (told: Told) => void;
}

/** Until acknowledged. */
export async function submit(
  { asker, effects, tell }: Submitter,
  request: { spec: PipelineSpec; key: string },
): Promise<string | undefined> {
  const { spec, key } = request;
  const answer = await asker.ask((client) =>
    client.submitSpec(withEffects(spec, effects), { key }),
  );
  if (answer === undefined) return undefined;
  tell({ what: "submit", run: answer.run, key, jobs: spec.jobs.length, existing: answer.existing });
  return answer.run;
}

/**
 * Small runs, one after another, until told to stop; sometimes the same again, a cancel, a look.
 */
export async function submitSmallRuns(
  submitter: Submitter,
  options: { random: Draw; prefix: string; until: AbortSignal },
): Promise<void> {
  const { asker, tell } = submitter;
  const { random, prefix, until } = options;
  const runs: string[] = [];
  for (let n = 0; !until.aborted; n++) {
    const request = { spec: smallPipeline(random), key: `${prefix}-${n}` };
    const run = await submit(submitter, request);
    if (run === undefined) return;
    runs.push(run);
    if (random.chance(0.2)) await submit(submitter, request);
    if (random.chance(0.15) && (await asker.ask((client) => client.cancel(run))) !== undefined) {
      tell({ what: "cancel", run });
    }
    if (random.chance(0.3)) await look(submitter, random.one(runs));
    if (random.chance(0.1)) await readHash(submitter);
    await pause(random.int(PAUSE_MS.min, PAUSE_MS.max));
  }
}

/** A state that absorbs, once shown to somebody, is a promise. */
async function look({ asker, tell }: Submitter, run: string): Promise<void> {
  const report = await asker.ask((client) => client.status(run));
  for (const { id, status, attempt } of report?.jobs ?? []) {
    tell({ what: "seen", run, job: id, status, attempt });
  }
}

export async function readHash({ asker, tell }: Submitter): Promise<void> {
  const info = await asker.ask((client) => client.info({ hash: true }));
  if (info !== undefined) tell({ what: "hash", seq: info.nextSeq - 1, hash: info.stateHash });
}

/** Answers gates, each of them twice and differently: the first answer is the one that counts. */
export async function answerGates(
  submitters: readonly [Submitter, Submitter],
  options: { random: Draw; until: AbortSignal },
): Promise<void> {
  const { random, until } = options;
  while (!until.aborted) {
    for (const { id: gate } of (await submitters[0].asker.ask((client) => client.gates())) ?? []) {
      const approve = random.chance(0.7);
      await Promise.all(
        submitters.map(async ({ asker, tell }, n) => {
          const answer = { approve: n === 0 ? approve : !approve, by: `client ${n + 1}` };
          const decision = await asker.ask((client) =>
            client.decide(gate, answer).catch(ifCancelled),
          );
          if (decision !== undefined) tell({ what: "gate", gate, decision });
        }),
      );
    }
    await pause(GATES_MS);
  }
}

/** Whoever cancels a run closes its gates. */
function ifCancelled(error: unknown): undefined {
  if (error instanceof RpcError && error.code === "CONFLICT") return undefined;
  throw error;
}

/** Waits until no run goes on; resolves with those that still do when time is up. */
export async function untilEnded(asker: Asker, limitMs: number): Promise<RunInfo[]> {
  const end = performance.now() + limitMs;
  for (;;) {
    const open =
      (await asker.ask((client) => client.runs()))?.filter(({ status }) => status === "RUNNING") ??
      [];
    if (open.length === 0 || performance.now() > end) return open;
    await pause(100);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function withinTime<T>(answer: Promise<T>): Promise<T> {
  let late: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    late = setTimeout(
      () => reject(new RpcError("DEADLINE", `no answer within ${ANSWER_MS} ms`)),
      ANSWER_MS,
    );
  });
  try {
    return await Promise.race([answer, timeUp]);
  } finally {
    clearTimeout(late);
  }
}
