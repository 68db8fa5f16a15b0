/**
 * Runs tests against changed modules, many in one process.
 *
 *     node --experimental-vm-modules mistakes-run.js TASKS.json RESULTS.jsonl [MILLISECONDS]
 *
 * A process for each change would take a third of a second, most of it for modules that are the
 * same each time. Here a change costs what the modules that use the changed file take to be
 * evaluated anew, and the one test that judges it.
 *
 *     base graph     all modules of the test files, evaluated once
 *     a change       the changed file and all that lead to it, anew; the others are those of base
 *
 * `node:test` is a small one of its own: tests are collected, and run when they are asked for.
 * Left out: tests that start programs, which would start the unchanged ones.
 * Test: test/learn-mistakes.test.ts
 */
import { appendFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { mock } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as vm from "node:vm";
import { Worker } from "node:worker_threads";

export interface Task {
  readonly id: number;
  /** The compiled file, relative to the root, and the one to be taken in its place. */
  readonly file: string;
  readonly instead: string;
  /** Compiled test files, relative to the root. */
  readonly tests: readonly string[];
  /** The test that judges the change. Without it one is looked for: of those that name the
   * exercise or else of all, the quickest that notices. */
  readonly name?: string;
  readonly exercise: string;
}

/** What became of the test that judges; of the first that noticed; or of the last that did not. */
export interface Outcome {
  readonly id: number;
  readonly test: string;
  readonly name: string;
  /** Whether it passes without the change. */
  readonly before: boolean;
  /** What it says with the change. Empty: it passes. */
  readonly message: string;
}

/** What is told by waiting is told too late. */
const TEST_MS = 20_000;
const [, , tasksFile = "", report = "", limitMs] = process.argv;
export const LATE = "it only waits";
/** A loop without an end takes the processor, and leaves no timer a turn. */
const TEST_CPU_MS = 6000;
export const ENDLESS = "it never ends";

type Body = (context: object) => unknown;

/** What a test file has registered. */
class Suite {
  readonly tests: { name: string; body: Body }[] = [];
  readonly before: Body[] = [];
  readonly after: Body[] = [];
  readonly beforeEach: Body[] = [];
  readonly afterEach: Body[] = [];
}

process.env["TITAN_LEAKS"] = "ignored"; // test/leaks.support.ts
/** Where tests and hooks are registered while modules are evaluated. */
let open = new Suite();
/** What came outside of any test's own promise. */
let stray: unknown;
for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error: unknown) => (stray ??= error));
}

function register(name: unknown, ...rest: unknown[]): void {
  const body = bodyOf([name, ...rest]);
  const settings = rest.find((each) => typeof each === "object") as { skip?: unknown } | undefined;
  if (body === undefined || settings?.skip) return;
  open.tests.push({ name: String(name), body });
}

/** It stands last, behind a name and settings. */
const bodyOf = (args: readonly unknown[]): Body | undefined =>
  args.findLast((each) => typeof each === "function") as Body | undefined;

const group = (...args: unknown[]): unknown => bodyOf(args)?.({});

const nodeTest: Readonly<Record<string, unknown>> = {
  test: register, it: register, describe: group, suite: group, mock, default: register,
  before: (body: Body) => open.before.push(body),
  after: (body: Body) => open.after.push(body),
  beforeEach: (body: Body) => open.beforeEach.push(body),
  afterEach: (body: Body) => open.afterEach.push(body),
};

/** Modules by their URL, of which some may be those of another graph. */
class Graph {
  readonly users = new Map<string, Set<string>>();
  readonly #root: string;
  readonly #names: Readonly<Record<string, { default?: string }>>;
  readonly #modules = new Map<string, Promise<vm.Module>>();
  readonly #change: { base: Graph; file: string; instead: string; anew: Set<string> } | undefined;

  constructor(root: string, change?: { base: Graph; file: string; instead: string }) {
    this.#root = root;
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    this.#names = manifest.imports ?? {};
    if (change === undefined) return;
    const file = this.#urlOf(change.file);
    const anew = new Set([file]);
    for (const url of anew) for (const user of change.base.users.get(url) ?? []) anew.add(user);
    this.#change = { ...change, file, anew };
  }

  /** Whether one file uses another, both relative to the root. */
  leadsFrom(file: string, user: string): boolean {
    const reached = new Set([this.#urlOf(file)]);
    for (const url of reached) for (const each of this.users.get(url) ?? []) reached.add(each);
    return reached.has(this.#urlOf(user));
  }

  #urlOf(file: string): string {
    return pathToFileURL(join(this.#root, file)).href;
  }

  async evaluate(file: string): Promise<void> {
    await this.#evaluated(this.#urlOf(file));
  }

  async #evaluated(url: string): Promise<vm.Module> {
    const module = await this.#load(url);
    if (module.status === "unlinked") await module.link(this.#linker);
    await module.evaluate();
    return module;
  }

  readonly #linker = (name: string, from: { identifier: string }): Promise<vm.Module> =>
    this.#load(this.#resolve(name, from.identifier));

  #resolve(name: string, from: string): string {
    const named = this.#names[name]?.default;
    const url = named !== undefined ? this.#urlOf(named)
      : /^\.|^file:/.test(name) ? this.#built(new URL(name, from).href) : name;
    this.users.set(url, (this.users.get(url) ?? new Set()).add(from));
    return url;
  }

  /** A test that looks inside a subsystem names its source, which is a link to what was built. */
  #built(url: string): string {
    const sources = this.#urlOf("src/");
    return url.startsWith(sources) ? this.#urlOf(`dist/${url.slice(sources.length)}`) : url;
  }

  #load(url: string): Promise<vm.Module> {
    const change = this.#change;
    if (change !== undefined && !change.anew.has(url)) return change.base.#load(url);
    const known = this.#modules.get(url);
    if (known !== undefined) return known;
    const module = url.startsWith("file:") ? this.#fromFile(url) : fromOutside(url);
    this.#modules.set(url, module);
    return module;
  }

  async #fromFile(url: string): Promise<vm.Module> {
    const change = this.#change;
    const path = change?.file === url ? join(this.#root, change.instead) : fileURLToPath(url);
    return new vm.SourceTextModule(sourceOf(path), {
      identifier: url,
      initializeImportMeta: (meta) => {
        const filename = fileURLToPath(url);
        Object.assign(meta, { url, filename, dirname: dirname(filename) });
      },
      importModuleDynamically: ((name: string) =>
        this.#evaluated(this.#resolve(name, url))) as never,
    });
  }
}

const sources = new Map<string, string>();

function sourceOf(path: string): string {
  const source = sources.get(path) ?? readFileSync(path, "utf8");
  sources.set(path, source);
  return source;
}

const outside = new Map<string, Promise<vm.Module>>();

/** A module of Node or of a package: the real one, but for the tests. */
function fromOutside(name: string): Promise<vm.Module> {
  const make = async (): Promise<vm.Module> => {
    const real = name === "node:test" ? nodeTest : (await import(name)) as Record<string, unknown>;
    const keys = Object.keys(real);
    const module = new vm.SyntheticModule(keys, function fill() {
      for (const key of keys) this.setExport(key, real[key]);
    }, { identifier: name });
    await module.link(() => { throw new Error("it imports nothing"); });
    await module.evaluate();
    return module;
  };
  const module = outside.get(name) ?? make();
  outside.set(name, module);
  return module;
}

/** Undefined: it passed. */
async function run({ name, body }: { name: string; body: Body }, suite: Suite): Promise<unknown> {
  const ends: Body[] = [];
  const context = {
    name, signal: new AbortController().signal, mock,
    after: (end: Body) => ends.push(end),
    diagnostic: () => {}, skip: () => {}, todo: () => {},
    test: (...args: unknown[]) => bodyOf(args)?.(context),
  };
  stray = undefined;
  let failure: unknown;
  const steps = [...suite.beforeEach, body];
  for (const step of steps) failure ??= await failureOf(step, context);
  for (const end of [...ends.reverse(), ...suite.afterEach]) {
    failure ??= await failureOf(end, context);
  }
  mock.reset();
  await new Promise((resolve) => setImmediate(resolve));
  return failure ?? stray;
}

async function failureOf(body: Body, context: object): Promise<unknown> {
  try {
    await inTime((async () => body(context))());
    return undefined;
  } catch (error) {
    return error ?? new Error("it failed");
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(LATE)), Number(limitMs ?? TEST_MS));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function collect(graph: Graph, file: string): Promise<Suite> {
  const suite = (open = new Suite());
  await graph.evaluate(file);
  for (const hook of suite.before) await hook({});
  return suite;
}

/** What a test file wants to be done after all its tests: a failure of it is of no interest. */
async function endAll(suites: ReadonlyMap<string, Suite>): Promise<void> {
  for (const { after } of suites.values()) for (const hook of after) await failureOf(hook, {});
}

interface Test {
  readonly file: string;
  readonly name: string;
  readonly body: Body;
  readonly suite: Suite;
}

/** Tests as they are without any change, and whether they pass. */
class Base {
  readonly graph: Graph;
  readonly #suites = new Map<string, Suite>();
  readonly #proven = new Map<Test, { passes: boolean; ms: number }>();
  readonly #tests = new Map<string, Test[]>();

  constructor(root: string) {
    this.graph = new Graph(root);
  }

  async testsOf(file: string): Promise<Test[]> {
    const known = this.#tests.get(file);
    if (known !== undefined) return known;
    const suite = await collect(this.graph, file);
    this.#suites.set(file, suite);
    const tests = suite.tests.map((each) => ({ ...each, file, suite }));
    this.#tests.set(file, tests);
    return tests;
  }

  async prove(test: Test): Promise<{ passes: boolean; ms: number }> {
    const known = this.#proven.get(test);
    if (known !== undefined) return known;
    const start = performance.now();
    const passes = (await run(test, test.suite)) === undefined;
    const proven = { passes, ms: performance.now() - start };
    this.#proven.set(test, proven);
    return proven;
  }

  /** Of a test that has not run yet nobody knows. */
  costOf(test: Test): number {
    return this.#proven.get(test)?.ms ?? UNKNOWN_MS;
  }

  close(): Promise<void> {
    return endAll(this.#suites);
  }
}

/** A test that does not name an exercise comes after all that do. */
const ANY_MS = 1_000_000;
const UNKNOWN_MS = 100;
/** A test that is so slow is no judge: it would be taken for one that never ends. */
const SLOW_MS = 4000;

/** The tests that may judge a change, the best first. */
async function judgesOf(
  { name, tests: files, file, exercise }: Task, base: Base,
): Promise<Test[]> {
  const all: Test[] = [];
  for (const each of files) all.push(...await base.testsOf(each));
  if (name !== undefined) return all.filter((test) => test.name === name);
  const rank = (test: Test): number =>
    base.costOf(test) + (test.name.includes(exercise) ? 0 : ANY_MS);
  return all.filter((test) => base.graph.leadsFrom(file, test.file))
    .sort((a, b) => rank(a) - rank(b));
}

async function judge(
  task: Task, base: Base, watch: (test: Test) => void,
): Promise<Outcome | undefined> {
  const { id, file, instead } = task;
  const newGraph = (): Graph =>
    new Graph(process.cwd(), { base: base.graph, file, instead });
  const graph = newGraph();
  const suites = new Map<string, Suite>();
  let outcome: Outcome | undefined;
  for (const test of await judgesOf(task, base)) {
    const { passes, ms } = await base.prove(test);
    if (task.name === undefined && (!passes || ms > SLOW_MS)) continue;
    watch(test);
    outcome = { id, test: test.file, name: test.name, before: passes, message: "" };
    let message = await messageOf(test, graph, suites);
    // What a test before it has left behind may have made it fail.
    if (message !== "" && suites.size > 0 && task.name === undefined) {
      message = await messageOf(test, newGraph(), new Map());
    }
    outcome = { ...outcome, message };
    if (message !== "") break;
  }
  await endAll(suites);
  return outcome;
}

async function messageOf(test: Test, graph: Graph, suites: Map<string, Suite>): Promise<string> {
  try {
    const suite = suites.get(test.file) ?? await inTime(collect(graph, test.file));
    suites.set(test.file, suite);
    const twin = suite.tests.find(({ name }) => name === test.name);
    if (twin === undefined) return "there is no such test any more";
    const failure = await run(twin, suite);
    return failure === undefined ? "" : (failure as Error).message || "it failed";
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * A thread that ends this process when it has computed for too long since `watch` was called, and
 * says for which change.
 */
const WATCHDOG = `
  const { workerData: { turn, report, cpuMs } } = require("node:worker_threads");
  const { appendFileSync } = require("node:fs");
  let [seen, since] = [0, 0];
  const now = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
  setInterval(() => {
    const at = Atomics.load(turn, 0);
    if (at !== seen) [seen, since] = [at, now()];
    if (seen === 0 || now() - since < cpuMs) return;
    appendFileSync(report, Buffer.from(Uint8Array.from(turn.subarray(2, 2 + turn[1]))));
    process.kill(process.pid, "SIGKILL");
  }, 200);
`;
const WATCHED_BYTES = 4096;

function openWatch(): (outcome: Outcome) => void {
  const turn = new Int32Array(new SharedArrayBuffer(4 * WATCHED_BYTES));
  const workerData = { turn, report, cpuMs: Number(limitMs ?? TEST_CPU_MS) };
  new Worker(WATCHDOG, { eval: true, workerData }).unref();
  return (outcome) => {
    const line = Buffer.from(`${JSON.stringify(outcome)}\n`).subarray(0, WATCHED_BYTES - 2);
    turn.set(line, 2);
    turn[1] = line.length;
    Atomics.add(turn, 0, 1);
  };
}

async function main(tasks: readonly Task[]): Promise<void> {
  const base = new Base(process.cwd());
  const watch = openWatch();
  for (const task of tasks) {
    const outcome = await judge(task, base, ({ file, name }) =>
      watch({ id: task.id, test: file, name, before: true, message: ENDLESS }));
    if (outcome !== undefined) appendFileSync(report, `${JSON.stringify(outcome)}\n`);
  }
  await base.close();
}

// Its types and its words are for those who start it, too.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(JSON.parse(readFileSync(tasksFile, "utf8")) as Task[]);
  process.exit(0);
}
