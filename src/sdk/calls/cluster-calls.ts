/**
 * Lesson 10: the client's requests about the cluster as a whole: workers, pools, services, gates,
 * agent runs. Each is one request and its answer. Requests about a run are in run-calls.ts.
 *
 * Test: test/10-master.test.ts
 */
import {
  AgentCancelled,
  AgentList,
  AgentPage,
  AgentRef,
  BudgetNow,
  DeadPage,
  DecideGate,
  Decision,
  Drained,
  DrainWorker,
  Empty,
  GateList,
  Info,
  InfoRequest,
  Launched,
  LaunchWorker,
  Metrics,
  Op,
  PoolPage,
  RaiseBudget,
  Retired,
  RetireWorker,
  RollbackService,
  RolledBack,
  Scaled,
  ScaleService,
  ServicePage,
  ServiceRef,
  ServicesMeant,
  WorkerList,
  type AgentInfo,
  type AgentJob,
  type ArtifactInfo,
  type ArtifactsRemoved,
  type BudgetChange,
  type DeadLetter,
  type GateInfo,
  type LaunchInfo,
  type PoolInfo,
  type RunInfo,
  type ServiceRow,
  type WorkerInfo,
} from "#wire";
import {
  listArtifacts, removeArtifacts, type ArtifactName, type CollectOptions,
} from "./artifact-calls.ts";

/** An agent run, its runs, and the jobs of all of them. */
export interface AgentReport {
  readonly agent: AgentInfo;
  readonly runs: readonly RunInfo[];
  readonly jobs: readonly AgentJob[];
}

export abstract class ClusterCalls {
  /** One request, and its reply. */
  abstract request(opcode: number, body: Buffer): Promise<Buffer>;

  /** For lists that may be longer than a frame. */
  abstract parts(opcode: number, body?: Buffer): AsyncIterable<Buffer>;

  /** Every replica of every service, by name; those that are over, too, while they are known. */
  async services(): Promise<ServiceRow[]> {
    const rows: ServiceRow[] = [];
    for await (const body of this.parts(Op.SERVICES)) rows.push(...ServicePage.decode(body).rows);
    return rows;
  }

  /**
   * Stops services for good: one by its name, or those of a RUN, or RUN/JOB. Resolves once the wish
   * is durable; their processes end after it.
   */
  async stop(name: string, options: { by?: string } = {}): Promise<ServicesMeant> {
    const body = ServiceRef.encode({ name, by: options.by ?? "" });
    return ServicesMeant.decode(await this.request(Op.STOP, body));
  }

  /** Starts services anew, at once. Named as for `stop`. */
  async restart(name: string, options: { by?: string } = {}): Promise<ServicesMeant> {
    const body = ServiceRef.encode({ name, by: options.by ?? "" });
    return ServicesMeant.decode(await this.request(Op.RESTART, body));
  }

  /**
   * Another number of replicas. Resolves once that is durable: new ones start after it, and those
   * that are too many end when the connections that are forwarded to them have.
   */
  async scale(name: string, replicas: number, options: { by?: string } = {}): Promise<Scaled> {
    const body = ScaleService.encode({ name, replicas, by: options.by ?? "" });
    return Scaled.decode(await this.request(Op.SCALE, body));
  }

  /**
   * Deploys the version before again, as an update. If no answer comes, ask again with the same
   * `key`: two rollbacks with one key are one.
   */
  async rollback(
    name: string, options: { by?: string; updateMs?: number | undefined; key?: string } = {},
  ): Promise<RolledBack> {
    const { by = "", updateMs, key } = options;
    const body = RollbackService.encode({ name, updateMs, by, key });
    return RolledBack.decode(await this.request(Op.ROLLBACK, body));
  }

  async workers(): Promise<WorkerInfo[]> {
    return WorkerList.decode(await this.request(Op.WORKERS, Empty.encode({}))).workers;
  }

  /**
   * Gives a worker (a name, or the number of a registration) nothing new. The jobs that run there
   * go on. `undo` ends that.
   */
  async drain(worker: string, options: { undo?: boolean } = {}): Promise<Drained> {
    const body = DrainWorker.encode({ worker, undo: options.undo ?? false });
    return Drained.decode(await this.request(Op.DRAIN, body));
  }

  /** Agent runs, the oldest first. */
  async agents(): Promise<AgentInfo[]> {
    const agents: AgentInfo[] = [];
    for await (const body of this.parts(Op.AGENTS)) agents.push(...AgentList.decode(body).agents);
    return agents;
  }

  /** An agent run by its name, or by the id of one of its runs: its runs, and their jobs. */
  async agent(name: string): Promise<AgentReport> {
    const found: { agent?: AgentInfo; runs: RunInfo[]; jobs: AgentJob[] } = { runs: [], jobs: [] };
    for await (const body of this.parts(Op.AGENT, AgentRef.encode({ name }))) {
      const { agent, runs, jobs } = AgentPage.decode(body);
      if (agent !== undefined) found.agent = agent;
      found.runs.push(...runs);
      found.jobs.push(...jobs);
    }
    return { ...found, agent: found.agent! };
  }

  /** Raises limits of an agent run: to `amount`, or (`add`) by it. Paused runs go on. */
  async raiseBudget(
    group: string, changes: BudgetChange[], options: { by?: string } = {},
  ): Promise<BudgetNow> {
    const body = RaiseBudget.encode({ group, changes, by: options.by ?? "" });
    return BudgetNow.decode(await this.request(Op.BUDGET, body));
  }

  /** Cancels all runs of an agent run. */
  async cancelAgent(name: string): Promise<AgentCancelled> {
    return AgentCancelled.decode(await this.request(Op.CANCEL_AGENT, AgentRef.encode({ name })));
  }

  /** Pools of workers that the master can start, and those of their workers that are not gone. */
  async pools(): Promise<{ pools: PoolInfo[]; launches: LaunchInfo[] }> {
    const all: { pools: PoolInfo[]; launches: LaunchInfo[] } = { pools: [], launches: [] };
    for await (const body of this.parts(Op.POOLS)) {
      const page = PoolPage.decode(body);
      all.pools.push(...page.pools);
      all.launches.push(...page.launches);
    }
    return all;
  }

  /** Starts a worker of a pool, and says how it will be called. */
  async launch(pool: string, options: { by?: string } = {}): Promise<string> {
    const body = LaunchWorker.encode({ pool, by: options.by ?? "" });
    return Launched.decode(await this.request(Op.LAUNCH, body)).name;
  }

  /**
   * Ends a worker of a pool (its name, or the number of its registration) once nothing runs there.
   */
  async retire(worker: string, options: { by?: string } = {}): Promise<Retired> {
    const body = RetireWorker.encode({ worker, by: options.by ?? "" });
    return Retired.decode(await this.request(Op.RETIRE, body));
  }

  /** Jobs whose retries are spent, the newest last. */
  async deadLetters(): Promise<DeadLetter[]> {
    const dead: DeadLetter[] = [];
    for await (const body of this.parts(Op.DEAD)) dead.push(...DeadPage.decode(body).letters);
    return dead;
  }

  async gates(): Promise<GateInfo[]> {
    const gates: GateInfo[] = [];
    for await (const body of this.parts(Op.GATES)) gates.push(...GateList.decode(body).gates);
    return gates;
  }

  /**
   * Answers a gate: RUN/JOB, or RUN/JOB#ATTEMPT for the gate behind that attempt and no later one.
   * `values` are those of its form, as texts. `already` in the result: somebody was faster, and
   * that answer stands. `missing` above 0: it was counted, and the gate wants so many more.
   */
  async decide(
    gate: string,
    answer: {
      approve: boolean; by?: string; comment?: string; values?: Readonly<Record<string, string>>;
    },
  ): Promise<Decision> {
    const { approve, by = "", comment = "", values = {} } = answer;
    const body = DecideGate.encode({ gate, approve, by, comment, values: { ...values } });
    return Decision.decode(await this.request(Op.DECIDE, body));
  }

  /** Those of a run, those that are kept by name, or all. */
  artifacts(which: { run?: string; kept?: boolean } = {}): Promise<ArtifactInfo[]> {
    return listArtifacts((opcode, body) => this.parts(opcode, body), which);
  }

  /**
   * Removes one.
   *
   * @throws {RpcError} NOT_FOUND, CONFLICT (a job that has not ended takes it as an input)
   */
  removeArtifact(
    name: string, from: ArtifactName & { by?: string } = {},
  ): Promise<ArtifactsRemoved> {
    return removeArtifacts((opcode, body) => this.request(opcode, body), { name, ...from });
  }

  /**
   * Removes those of runs that ended `olderMs` ago or before, and with `kept` those that were kept
   * as long. Ask again while it says `more`.
   */
  collectArtifacts(which: CollectOptions = {}): Promise<ArtifactsRemoved> {
    return removeArtifacts((opcode, body) => this.request(opcode, body), which);
  }

  async info(options: { hash?: boolean } = {}): Promise<Info> {
    const body = InfoRequest.encode({ hash: options.hash ?? false });
    return Info.decode(await this.request(Op.INFO, body));
  }

  /** What the master measures. */
  async metrics(): Promise<Metrics> {
    return Metrics.decode(await this.request(Op.METRICS, Empty.encode({})));
  }

  async ping(): Promise<void> {
    await this.request(Op.PING, Empty.encode({}));
  }
}
