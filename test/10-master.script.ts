/**
 * The language of lessons/10-master/transcripts: commands as lines of text, and as text what the
 * core makes of them.
 *
 *     Submit nightly key=tuesday           a command, named as in core/command.ts
 *       build after=fetch retry=3x10s      its jobs, indented
 *     Start                                what can start, starts (`nextStart`, again and again)
 *     Wait 10s                             the clock moves, and ticks
 *     Show nightly                         no command: how its jobs are, and why they wait
 *     Await deep/plan jobs=a,b time=1h     the command Wait: "Wait" is taken
 *     Connections shop/web 2               no command: so many are forwarded to it from now on
 *     Letters                              no command: the dead letters, oldest first
 *     Groups                               no command: agent runs, and what they have used
 *     Pools                                no command: pools of workers, and their launches
 *     Steps nightly                        no command: the journals of its jobs
 *     Artifacts                            no command: what there is, and what it takes of the disk
 *     Disk 1000 age=1h                     no command: what artifacts may take, and for how long
 *
 * A run is called by its pipeline's name: the latest one of that name. A job is RUN/JOB, an attempt
 * RUN/JOB#N.
 */
import { createHash } from "node:crypto";
import { inspect } from "node:util";
import {
  allArtifacts, BUDGET_KEYS, deadLetters, eventDetail, eventText, findJob, Names, nextStart,
  reasonOf, Refusal, type Command, type Effect, type Event, type Job, type Run,
} from "#core";
import {
  KNOWLEDGE, MICROS_PER_USD, type Agent, type AttemptKey, type BudgetKind, type Failure,
  type FormField, type Gate, type GateRules, type JobFiles, type JobSpec, type PipelineSpec,
  type Report, type Service, type ServicePhase, type StepEnd, type StepStart, type WaitWish,
} from "#wire";
import { Bench, serviceSpec, spec } from "./10-master.core.ts";

const START = Date.UTC(2026, 0, 1, 12);

/** One line of a script: its words, and those of its words that are NAME=VALUE. */
class Line {
  readonly words: string[];
  readonly options: ReadonlyMap<string, string>;

  constructor(text: string) {
    // A word may have a part in quotes: comment="not today".
    const words = (text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []).map((word) =>
      word.replaceAll('"', ""),
    );
    const isOption = (word: string): boolean => /^[a-z]+=/.test(word);
    this.words = words.filter((word) => !isOption(word));
    this.options = new Map(words.filter(isOption).map((word) => {
      const at = word.indexOf("=");
      return [word.slice(0, at), word.slice(at + 1)];
    }));
  }

  get verb(): string {
    return this.words[0] ?? "";
  }

  word(index: number): string {
    const found = this.words[index];
    if (found === undefined) throw new Error(`Cannot read "${this.words.join(" ")}": too short`);
    return found;
  }

  has(word: string): boolean {
    return this.words.includes(word);
  }

  option(name: string): string | undefined {
    return this.options.get(name);
  }

  list(name: string): string[] {
    return (this.option(name) ?? "").split(",").filter((each) => each !== "");
  }

  number(name: string, otherwise: number): number {
    return Number(this.option(name) ?? otherwise);
  }
}

/** A life of the core, told in text. */
export class Script {
  readonly bench = new Bench();
  /** The types of all that was told. */
  readonly seen = {
    commands: new Set<string>(),
    events: new Set<string>(),
    effects: new Set<string>(),
  };
  readonly #names = new Names();
  #trace: string[] = [];

  constructor() {
    this.bench.now = START;
  }

  /** Performs the lines of one paragraph. Returns what followed. */
  perform(lines: readonly string[]): string[] {
    this.#trace = [];
    for (let i = 0; i < lines.length;) {
      const line = new Line(lines[i++]!);
      const jobs: Line[] = [];
      while (lines[i]?.startsWith("  ")) jobs.push(new Line(lines[i++]!));
      this.#line(line, jobs);
    }
    return this.#trace;
  }

  #line(line: Line, jobs: readonly Line[]): void {
    switch (line.verb) {
      case "Start":
        return this.#start();
      case "Show":
        return this.#show(this.#run(line.word(1)));
      case "Wait": {
        this.bench.now += ms(line.word(1));
        return this.#give({ type: "Tick" });
      }
      case "Connections": {
        const { run, job, attempt } = this.#attempt(line.word(1));
        const count = Number(line.word(2));
        return void this.bench.connections.set(`${run}/${job}/${attempt}`, count);
      }
      case "Letters":
        return this.#letters();
      case "Pools":
        return this.#pools();
      case "Steps":
        return this.#steps(this.#run(line.word(1)));
      case "Groups":
        return this.#groups();
      case "Artifacts":
        return this.#artifacts();
      case "Disk": {
        const [totalBytes, ageMs] = [Number(line.word(1)), ms(line.option("age") ?? "24h")];
        this.bench.artifacts = { totalBytes, ageMs };
        return;
      }
      case "Memory": {
        const bytes = Number(line.word(1));
        this.bench.memory = { open: bytes, finished: bytes, total: bytes, ceiling: bytes };
        return;
      }
      default:
        return this.#give(this.#command(line, jobs));
    }
  }

  #give(command: Command): void {
    this.seen.commands.add(command.type);
    try {
      const { events, effects, reply } = this.bench.decide(command);
      this.bench.commit(events);
      for (const event of events) this.#event(event);
      for (const effect of effects) this.#effect(effect);
      if (reply !== undefined) this.#say("reply", replyText(reply));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#say("refused", `${error.code}: ${error.message}`);
    }
    if (this.#trace.length === 0) this.#trace.push("nothing");
  }

  #start(): void {
    for (;;) {
      const start = nextStart(this.bench.state, this.bench.now);
      if (start === undefined) break;
      this.bench.commit([start]);
      this.#event(start);
      this.#effect({ type: "Dispatch", start });
    }
    if (this.#trace.length === 0) this.#trace.push("nothing");
  }

  #show(run: Run): void {
    for (const job of run.jobs) {
      const why = reasonOf(this.bench.state, job, this.bench.now);
      const status = job.attempt > 0 ? `${job.status}#${job.attempt}` : job.status;
      this.#say("job", `${job.spec.id} ${status}${why === "" ? "" : `: ${why}`}`);
    }
    this.#say("run", `${run.id} ${run.status}`);
  }

  #letters(): void {
    for (const { run, job, attempts, failure, endedAt } of deadLetters(this.bench.state)) {
      const why = failure?.message ?? "its workers were lost";
      this.#say("letter", `${run}/${job} after ${attempts} attempts at ${time(endedAt)}: ${why}`);
    }
  }

  #pools(): void {
    const { pools, launches } = this.bench.state;
    for (const { name, open, history: { failures }, failure } of pools.values()) {
      const why = failure === "" ? "" : ` (${failure})`;
      this.#say("pool", `${name}: ${open} there, ${failures} failed in a row${why}`);
    }
    for (const { name, phase, handle } of launches.values()) {
      this.#say("launch", `${name} ${phase}${handle === "" ? "" : `, handle ${handle}`}`);
    }
  }

  #steps(run: Run): void {
    for (const { spec: { id }, journal } of run.jobs) {
      for (const { name, ordinal, status, attempt, result, message } of journal?.values() ?? []) {
        const end = result?.toString() ?? message;
        const how = end === "" ? "" : `: ${end}`;
        this.#say("step", `${id}:${name}#${ordinal} ${status} by attempt ${attempt}${how}`);
      }
    }
  }

  #groups(): void {
    for (const { id, used, limits, runs } of this.bench.state.groups.values()) {
      const text = inspect({ used, limits }, { breakLength: Infinity });
      this.#say("group", `${id} (${runs.size}): ${text}`);
    }
  }

  #artifacts(): void {
    const { state } = this.bench;
    for (const { run, name, size, sha256 } of allArtifacts(state)) {
      this.#say("artifact", `${name} of ${run?.id ?? "nobody"}: ${size} bytes, ${sha256}`);
    }
    this.#say("disk", `${state.contentBytes} bytes in ${state.contents.size} contents`);
  }

  #event(event: Event): void {
    this.seen.events.add(event.type);
    const retryAt = "retryAt" in event ? event.retryAt : undefined;
    const when = retryAt === undefined ? "" : ` at ${time(retryAt)}`;
    const detail = eventDetail(event);
    const text = `${eventText(event, this.#names)}${when}`;
    this.#say("event", detail === "" ? text : `${text} (${detail})`);
  }

  #effect(effect: Effect): void {
    this.seen.effects.add(effect.type);
    this.#say("effect", `${effect.type} ${this.#effectText(effect)}`);
  }

  #effectText(effect: Effect): string {
    const on = (worker: number): string => this.#names.workerName(worker) ?? String(worker);
    switch (effect.type) {
      case "Dispatch":
        return `${this.#names.attempt(effect.start)} to ${on(effect.start.worker)}`;
      case "Kill":
        return effect.attempts
          .map((attempt) => `${this.#names.attempt(attempt)} on ${on(attempt.worker)}`)
          .join(", ");
      case "Announce":
        return this.#names.attempt(effect.ref) + (effect.ref.key ? `:${effect.ref.key}` : "");
      case "Notify":
        return `the watchers of ${this.#names.run(effect.run)}`;
      case "Hold":
      case "Release":
        return `blob ${short(effect.blob)}`;
      case "Forget": {
        const { run, blobs } = effect;
        const others = blobs.length === 0 ? "" : ` and blobs ${blobs.map(short).join(", ")}`;
        return `the output of run ${run}${others}`;
      }
      case "StartWorker":
      case "StopWorker": return effect.name;
    }
  }

  #say(what: string, text: string): void {
    this.#trace.push(`${what.padEnd(7)} ${text}`);
  }

  // ── from words to commands ─────────────────────────────────────────────────────────────────────

  #command(line: Line, jobs: readonly Line[]): Command {
    const type = line.verb;
    switch (type) {
      case "Submit": {
        const strict = line.has("strict");
        const [key, by] = [line.option("key"), line.option("by")];
        const within = line.option("within");
        const updateMs = within === undefined ? undefined : ms(within);
        return { type, spec: pipeline(line, jobs), key, by, strict, updateMs };
      }
      case "AddJobs": {
        const run = this.#run(line.word(1));
        const known = run.jobs.map((job) => job.spec.id);
        const before = jobs.flatMap((line, job) =>
          line.list("before").map((id) => ({ job, child: known.indexOf(id) })));
        return { type, run: run.id, jobs: specs(jobs, known), before };
      }
      case "Cancel": {
        const [run, job] = line.word(1).split("/");
        return { type, run: this.#id(run!), job };
      }
      case "Retry": {
        const acceptChanged = line.has("accept");
        return { type, run: this.#id(line.word(1)), from: line.option("from"), acceptChanged };
      }
      case "Fork": {
        const set = line.list("set").map((each) => {
          const [step, result] = each.split(":") as [string, string];
          return { step, result: Buffer.from(result) };
        });
        const from = line.option("from")!;
        return { type, run: this.#id(line.word(1)), from, set, by: line.option("by") ?? "ann" };
      }
      case "DecideGate": {
        const [run, job] = line.word(1).split("/");
        const { by = "ann", comment = "" } = Object.fromEntries(line.options);
        const gate = job === undefined ? run! : `${this.#id(run!)}/${job}`;
        const values = Object.fromEntries(line.list("fields").map((each) => each.split(":")));
        return { type, gate, approve: line.has("approve"), by, comment, values };
      }
      case "NoticeTried": {
        const [ref, key] = [this.#attempt(line.word(1)), line.option("key")];
        return { type, ref: { ...ref, key }, failure: line.option("failure") };
      }
      case "RaiseBudget": {
        const changes = line.list("to").map((each) => {
          const [what, amount] = each.split(":") as [BudgetKind, string];
          const add = amount.startsWith("+");
          return { what, amount: amountOf(what, amount.replace("+", "")), add };
        });
        return { type, group: this.#id(line.word(1)), changes, by: line.option("by") ?? "ann" };
      }
      case "CancelGroup":
        return { type, group: this.#id(line.word(1)) };
      case "Drain":
        return { type, worker: line.word(1), undo: line.has("undo") };
      case "Launch": {
        const max = line.number("max", 9);
        const reason = line.option("because") ?? "jobs wait";
        return { type, pool: line.word(1), max, down: line.list("down"), reason };
      }
      case "Retire":
        return { type, worker: line.word(1), reason: line.option("because") ?? "idle" };
      case "AnswerLaunch":
        return { type, name: line.word(1), handle: line.word(2) };
      case "StopLaunch":
      case "EndLaunch": {
        const reason = line.option("because") ?? "idle";
        return { type, name: line.word(1), reason, failed: line.has("failed") };
      }
      case "Scale": {
        const by = line.option("by") ?? "ann";
        return { type, name: this.#service(line.word(1)), replicas: Number(line.word(2)), by };
      }
      case "Rollback":
        return {
          type, name: line.word(1), key: line.option("key"), by: line.option("by") ?? "ann",
        };
      case "Tick":
      case "Advance":
      case "Forget":
      case "ExpireArtifacts":
        return { type };
      case "Stop":
      case "Restart":
        return { type, name: this.#service(line.word(1)), by: line.option("by") ?? "ann" };
      case "PutArtifact":
      case "RemoveArtifact":
      case "CollectArtifacts":
      case "MakeArtifactRoom":
        return this.#artifactCommand(type, line);
      default:
        return this.#workersCommand(line, jobs);
    }
  }

  /** `PutArtifact NAME HASH SIZE [run=R] [job=J#1] [output] [keep]`, and so on. */
  #artifactCommand(
    type: "PutArtifact" | "RemoveArtifact" | "CollectArtifacts" | "MakeArtifactRoom", line: Line,
  ): Command {
    const by = line.option("by") ?? "ann";
    const run = line.option("run") && this.#id(line.option("run")!);
    switch (type) {
      case "PutArtifact": {
        const [job, attempt] = (line.option("job") ?? "").split("#");
        const [name, sha256, size] = [line.word(1), line.word(2), Number(line.word(3))];
        const worker = line.has("output") ? this.#worker(line.option("on")!) : undefined;
        return {
          type, name, sha256, size, run, keep: line.has("keep"), by, worker,
          job: job || undefined, attempt: attempt === undefined ? undefined : Number(attempt),
        };
      }
      case "RemoveArtifact":
        return { type, ref: { name: line.word(1), run: run ?? "", orKept: false }, by };
      case "CollectArtifacts": {
        const olderMs = ms(line.option("older") ?? "0s");
        return { type, olderMs, kept: line.has("keep"), dryRun: line.has("dry"), by };
      }
      case "MakeArtifactRoom":
        return { type, bytes: Number(line.word(1)), name: line.option("name") ?? "next" };
    }
  }

  /** A service by its own name, or by RUN/JOB. */
  #service(name: string): string {
    const [run, job] = name.split("/");
    return job === undefined ? name : `${this.#id(run!)}/${job}`;
  }

  #workersCommand(line: Line, jobs: readonly Line[]): Command {
    const type = line.verb;
    const name = line.word(1);
    switch (type) {
      case "Join": {
        const instance = line.option("instance") ?? name;
        const slots = line.number("slots", 1);
        const knows = line.has("old") ? [] : [...KNOWLEDGE];
        const version = line.option("version") ?? "";
        return { type, instance, name, tags: line.list("tags"), slots, version, knows };
      }
      case "Rejoin": {
        const running = line.list("running").map((attempt) => this.#attempt(attempt));
        return { type, worker: this.#worker(name), running, knows: line.list("knows") };
      }
      case "Lose": {
        const reason = line.option("because") ?? "silent for 4000 ms";
        return { type, worker: this.#worker(name), reason, blamed: !line.has("innocent") };
      }
      case "Finish": {
        const key = this.#attempt(name);
        const by = line.option("by");
        const worker = by === undefined ? this.#job(key).worker : this.#worker(by);
        return { type, worker, report: report(key, line) };
      }
      case "Health": {
        const key = this.#attempt(name);
        const by = line.option("by");
        const worker = by === undefined ? this.#job(key).worker : this.#worker(by);
        const [phase = "READY", reason = ""] = [line.word(2), line.option("because")];
        const report = { ...key, phase: phase as ServicePhase, port: 20_000, pid: 4711, reason };
        return { type, worker, host: "10.0.0.1", report };
      }
      case "StartStep":
      case "EndStep": {
        const key = this.#attempt(name);
        const on = line.option("on");
        const worker = on === undefined ? this.#job(key).worker : this.#worker(on);
        const by = { ...key, worker };
        return type === "StartStep"
          ? { type, by, step: stepStart(line) }
          : { type, by, step: stepEnd(line) };
      }
      case "LoseOutput": {
        const why = line.option("why") ?? "no space left on device";
        return { type, ...this.#attempt(name), bytes: line.number("bytes", 0), why };
      }
      default:
        return this.#jobsCommand(line, jobs);
    }
  }

  /** What a job asks for about itself. `by=RUN/JOB#1`: an attempt that has no right to. */
  #jobsCommand(line: Line, jobs: readonly Line[]): Command {
    const attempt = this.#attempt(line.word(1));
    const by = { ...attempt, worker: this.#job(attempt).worker };
    switch (line.verb) {
      case "Spawn": {
        const key = line.word(2);
        const parents = line.list("run");
        const before = jobs.flatMap((job, index) =>
          job.list("before").map((child) => ({ job: index, child })));
        const own = jobs.map((job) => job.verb);
        const list = specs(jobs, []).map((job, index) => {
          const dependsOn = jobs[index]!.list("after").map((id) =>
            own.includes(id) ? own.indexOf(id) : own.length + parents.indexOf(id));
          return { ...job, dependsOn };
        });
        const stage = line.option("stage") ?? "";
        return { type: "Spawn", by, key, jobs: list, parents, before, stage };
      }
      case "Await": {
        const waits: WaitWish[] = [];
        const ids = line.list("jobs");
        if (ids.length > 0) waits.push({ type: "jobs", jobs: ids });
        for (const key of line.list("asks")) waits.push({ type: "ask", key });
        const pause = line.option("time");
        if (pause !== undefined) waits.push({ type: "time", at: this.bench.now + ms(pause) });
        return { type: "Wait", by, waits };
      }
      case "Ask":
        return { type: "Ask", by, key: line.word(2), gate: gate(line) };
      default:
        throw new Error(`Cannot perform "${line.verb}": no such command`);
    }
  }

  /** The latest run of this pipeline. */
  #run(name: string): Run {
    const run = [...this.bench.state.runs.values()].findLast(
      ({ spec: { name: of } }) => of === name,
    );
    if (run === undefined) throw new Error(`Cannot perform this line: no run of ${name}`);
    return run;
  }

  /** The same as an id; of a pipeline that never ran, its name. */
  #id(name: string): string {
    const runs = [...this.bench.state.runs.values()];
    return runs.findLast((run) => run.spec.name === name)?.id ?? name;
  }

  #worker(name: string): number {
    const workers = [...this.bench.state.workers.values()];
    return workers.find((worker) => worker.name === name)?.id ?? Number(name);
  }

  #attempt(text: string): AttemptKey {
    const [, name = "", id = "", attempt] = /^(.+)\/(.+?)(?:#(\d+))?$/.exec(text) ?? [];
    const run = this.#run(name);
    const job = findJob(run, id);
    return { run: run.number, job: job.index, attempt: Number(attempt ?? job.attempt) };
  }

  #job(key: AttemptKey): Job {
    return this.bench.state.runs.get(key.run)!.jobs[key.job]!;
  }
}

function pipeline(line: Line, jobs: readonly Line[]): PipelineSpec {
  const project = line.option("project");
  const agent = agentOf(line);
  return { name: line.word(1), version: undefined, project, agent, jobs: specs(jobs, []) };
}

/** `agent` or `agent=ID`, with `budget=jobs:5,usd:2`. */
function agentOf(line: Line): Agent | undefined {
  const id = line.option("agent");
  const limits = line.list("budget").map((each) => each.split(":") as [BudgetKind, string]);
  if (id === undefined && !line.has("agent") && limits.length === 0) return undefined;
  const budget = Object.fromEntries(limits.map(([what, amount]) =>
    [BUDGET_KEYS[what], amountOf(what, amount)]));
  return { id, budget: limits.length === 0 ? undefined : budget };
}

function amountOf(what: BudgetKind, text: string): number {
  if (what === "deadline") return ms(text);
  return what === "usd" ? Number(text) * MICROS_PER_USD : Number(text);
}

/** Without what is not there. Bytes are shown as text if they are text, and hashes in short. */
function replyText(reply: unknown): string {
  const shown = (value: unknown): unknown => {
    if (!Buffer.isBuffer(value)) return typeof value === "string" ? shortHash(value) : value;
    const text = value.toString();
    return Buffer.from(text).equals(value) ? text : short(value.toString("hex"));
  };
  const given = typeof reply !== "object" || reply === null ? reply
    : Object.fromEntries(Object.entries(reply).filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, shown(value)]));
  return inspect(given, { breakLength: Infinity });
}

/** Enough of a hash to tell it from others. */
function short(hash: string): string {
  return hash.length < 32 ? hash : `${hash.slice(0, 8)}…`;
}

function shortHash(text: string): string {
  return text.replace(/[0-9a-f]{32,}/g, short);
}

function stepName(line: Line): { name: string; ordinal: number } {
  const [name = "", ordinal = "1"] = line.word(2).split("#");
  return { name, ordinal: Number(ordinal) };
}

/** `input=TEXT effect=once ambiguous=ask call=2 again`. */
function stepStart(line: Line): StepStart {
  const input = line.option("input") ?? "";
  return {
    ...stepName(line),
    inputHash: createHash("sha256").update(input).digest(),
    effect: (line.option("effect") ?? "read") as StepStart["effect"],
    onAmbiguous: (line.option("ambiguous") ?? "retry") as StepStart["onAmbiguous"],
    call: line.number("call", 1), again: line.has("again"), reserve: undefined,
  };
}

/** `result=TEXT`, `blob=LETTER` or `failure=WORDS`; `told`: a person has said so. */
function stepEnd(line: Line): StepEnd {
  const [result, blob] = [line.option("result"), line.option("blob")];
  return {
    ...stepName(line),
    result: result === undefined ? undefined : Buffer.from(result),
    blob: blob === undefined ? undefined : { sha256: blob.repeat(64), size: 1_000_000 },
    failure: line.option("failure"), usage: undefined, told: line.has("told"),
  };
}

/** `known`: jobs that the run has already. */
function specs(lines: readonly Line[], known: readonly string[]): JobSpec[] {
  const ids = [...known, ...lines.map((line) => line.verb)];
  return lines.map((line) => {
    const parents = line.list("after").map((id) => {
      const index = ids.indexOf(id);
      return index < 0 ? Number(id) : index;
    });
    const [attempts, pause = "0s"] = (line.option("retry") ?? "").split("x");
    const like = line.option("like");
    return spec(line.verb, {
      dependsOn: parents,
      requirement: line.list("needs"),
      priority: line.number("priority", 1),
      delayMs: ms(line.option("delay") ?? "0s"),
      when: (line.option("when") ?? "success") as JobSpec["when"],
      affinity: like === undefined ? undefined : ids.indexOf(like),
      ...(attempts && {
        retry: {
          maxAttempts: Number(attempts),
          delayMs: ms(pause),
          backoff: 2,
          maxDelayMs: 60_000,
          jitter: line.number("jitter", 0),
        },
      }),
      ...(line.has("service") && { service: service(line) }),
      ...(line.option("gate") && { gate: gate(line) }),
      ...((line.option("out") ?? line.option("in")) && { files: files(line, ids) }),
    });
  });
}

/** `approvers=ann,bob approvals=2 then=skip self=no form=share:number,region:eu|us`. */
function gate(line: Line): Gate {
  const question = {
    message: line.option("gate")!, maxWaitMs: ms(line.option("within") ?? "60s"),
  };
  const names = ["approvers", "approvals", "then", "self", "form", "notify"];
  if (!names.some((name) => line.option(name) !== undefined)) return question;
  return { ...question, rules: {
    form: line.list("form").map(field),
    approvers: line.list("approvers"),
    required: line.number("approvals", 1),
    onTimeout: (line.option("then") ?? "reject") as GateRules["onTimeout"],
    selfApproval: line.option("self") !== "no",
    ...(line.option("notify") && { notify: { type: "command", argv: line.list("notify") } }),
  } };
}

/** `out=model.bin,log in=train:model.bin`. */
function files(line: Line, ids: readonly string[]): JobFiles {
  const inputs = line.list("in").map((text) => {
    const [job = "", path = "", to] = text.split(":");
    return { job: ids.indexOf(job), path, to };
  });
  return { outputs: line.list("out"), inputs };
}

function field(text: string): FormField {
  const [name = "", kind = "text"] = text.split(":");
  const choices = kind.includes("|") ? kind.split("|") : [];
  const type = (choices.length > 0 ? "choice" : kind) as FormField["type"];
  return { name, type, label: "", choices, required: true };
}

function service(line: Line): Service {
  const { restart, ...usual } = serviceSpec(line.verb);
  const policy = (line.option("restart") ?? "always") as Service["restart"]["policy"];
  return { ...usual, deployed: line.has("deployed"), restart: { ...restart, policy } };
}

function report(key: AttemptKey, line: Line): Report {
  const exit = line.option("exit");
  const kind = (line.option("fails") ?? (exit && "exit")) as Failure["kind"] | undefined;
  const size = line.option("result");
  const exitCode = exit === undefined ? undefined : Number(exit);
  const message = exit === undefined ? `it is ${kind}` : `exit code ${exit}`;
  return {
    ...key,
    failure: kind && { kind, message, exitCode, signal: undefined },
    result: size === undefined ? undefined : Buffer.alloc(Number(size)),
    durationMs: 1,
  };
}

function ms(text: string): number {
  const [, count, unit] = /^(\d+)(ms|s|min|h)$/.exec(text) ?? [];
  if (unit === undefined) throw new Error(`Cannot read "${text}": no time such as 10s`);
  return Number(count) * { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }[unit]!;
}

function time(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}
