/**
 * Lesson 22: what the jobs of a simulated cluster do, told by their arguments.
 *
 *     sim ms=120 fails=2 result=7      takes 120 ms, fails twice, then succeeds and hands in 7
 *     sim ms=5 steps=4 once            first takes four durable steps, each to happen once
 *     sim ms=5 steps=4 tokens=20       the same, and each may cost 20 tokens, and costs less
 *     sim ms=5 adds=2 theirs=3         adds two jobs, each of which takes three steps
 *
 * The executor around them is the real one: folders, signals, the grace, the result's file. Only
 * the folders are not on any disk, because `WorkFolders` is the part of it that blocks (lesson 11).
 *
 * Test: test/22-simulation.test.ts
 */
import type { WorkFolders } from "#host";
import type { SimProcess, SimProgram } from "#simhost";
import type { AgentScript } from "./agents.ts";
import type { StepScript } from "./step-ledger.ts";

/** Between two lines of a program that prints. */
const PRINT_MS = 5;

interface Script extends AgentScript, StepScript {
  readonly ms: number;
  /** So many attempts exit with 1 before one succeeds. */
  readonly fails: number;
  readonly exit: number;
  readonly ignoresTerm: boolean;
  /** So many lines are printed, the first ones singly and then all that are left. */
  readonly print: number;
  readonly result: string | undefined;
  /** So many attempts take their machine down. */
  readonly crashHost: number;
  /** The program goes on until it is ended. */
  readonly forever: boolean;
  /** It listens on its port after so many ms; -1: it is no service. */
  readonly listen: number;
  /** It stops listening after so many ms more, and hangs; 0: never. */
  readonly hang: number;
}

/** Reads a program's arguments. Unknown words are a mistake in the plan. */
export function readScript(words: readonly string[]): Script {
  const script = {
    ms: 0,
    fails: 0,
    exit: 0,
    ignoresTerm: false,
    print: 0,
    result: undefined as string | undefined,
    crashHost: 0,
    forever: false,
    listen: -1,
    hang: 0,
    adds: 0,
    theirs: 0,
    asks: 0,
    naps: 0,
    steps: 0,
    once: false,
    tokens: 0,
  };
  for (const word of words) {
    const [name = "", value = ""] = word.split("=");
    if (name === "ms") script.ms = Number(value);
    else if (name === "fails") script.fails = Number(value);
    else if (name === "exit") script.exit = Number(value);
    else if (name === "ignore-term") script.ignoresTerm = true;
    else if (name === "print") script.print = Number(value);
    else if (name === "result") script.result = value;
    else if (name === "crash-host") script.crashHost = Number(value);
    else if (name === "forever") script.forever = true;
    else if (name === "listen") script.listen = Number(value);
    else if (name === "hang") script.hang = Number(value);
    else if (name === "adds") script.adds = Number(value);
    else if (name === "theirs") script.theirs = Number(value);
    else if (name === "asks") script.asks = Number(value);
    else if (name === "naps") script.naps = Number(value);
    else if (name === "steps") script.steps = Number(value);
    else if (name === "once") script.once = true;
    else if (name === "tokens") script.tokens = Number(value);
    else throw new Error(`Cannot read program: it does not know "${word}"`);
  }
  return script;
}

export interface ProgramRoom {
  foldersOf(host: string): SimFolders;
  /** Takes the machine of a program down. */
  crash(host: string): void;
  /** A program of a machine listens on a port, or does not any more. */
  listen(program: SimProcess, port: number): void;
  hang(program: SimProcess): void;
  /** The program acts as an agent, and is done with that when `done` is called. */
  act(program: SimProcess, script: AgentScript, done: () => void): void;
  /** Takes durable steps. Rejects when one of them cannot be. */
  takeSteps(program: SimProcess, steps: StepScript): Promise<void>;
}

/** The program that all jobs run. */
export function scriptedProgram(room: ProgramRoom): SimProgram {
  return (self) => {
    const script = readScript(self.argv.slice(1));
    const attempt = Number(self.env["TITAN_ATTEMPT"]);
    if (script.ignoresTerm) self.onSignal = () => undefined;
    printLines(self, script.print);
    if (script.listen >= 0) serve(self, script, room);
    if (script.forever) return;
    const work = (): void => self.after(script.ms, () => {
      if (attempt <= script.crashHost) return room.crash(self.host);
      if (attempt <= script.fails) return self.exit(1);
      if (script.adds + script.asks + script.naps > 0) {
        return room.act(self, script, () => end(self, script, room));
      }
      end(self, script, room);
    });
    if (script.steps === 0) return work();
    room.takeSteps(self, script).then(work, () => self.exit(1));
  };
}

function end(self: SimProcess, { result, exit }: Script, room: ProgramRoom): void {
  if (result !== undefined) {
    room.foldersOf(self.host).write(self.env["TITAN_OUTPUT"]!, result);
  }
  self.exit(exit);
}

function serve(self: SimProcess, { listen, hang }: Script, room: ProgramRoom): void {
  self.after(listen, () => {
    room.listen(self, Number(self.env["TITAN_PORT"]));
    if (hang > 0) self.after(hang, () => room.hang(self));
  });
}

function printLines(self: SimProcess, lines: number): void {
  if (lines === 0) return;
  self.output("stdout", `line ${lines}\n`);
  // A few small writes, then one large one: both shapes of output, at a bounded number of events.
  if (lines > 3 && lines % 2 === 0) self.output("stdout", "x".repeat(lines * 40));
  else self.after(PRINT_MS, () => printLines(self, Math.min(lines - 1, 3)));
}

/** The work folders of one machine. */
export class SimFolders implements WorkFolders {
  readonly #files = new Map<string, Buffer>();

  make(): void {}

  write(path: string, bytes: Buffer | string): void {
    this.#files.set(path, Buffer.from(bytes as string));
  }

  read(path: string, maxBytes: number): Buffer | number | undefined {
    const bytes = this.#files.get(path);
    return bytes !== undefined && bytes.length > maxBytes ? bytes.length : bytes;
  }

  isFile(path: string): boolean {
    return this.#files.has(path);
  }

  removeLight(path: string): boolean {
    for (const name of this.#files.keys()) {
      if (name.startsWith(`${path}/`)) this.#files.delete(name);
    }
    return true;
  }

  async remove(path: string): Promise<void> {
    this.removeLight(path);
  }
}
