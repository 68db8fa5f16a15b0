/**
 * The learner's companion: one file per subcommand or two, and a table that names them.
 *
 * Tests: test/learn-companion.test.ts, test/learn-check.test.ts
 */
import { suggest } from "../lib/chapters.mjs";
import { runBreak } from "./break.ts";
import { runBugs } from "./bugs.ts";
import { runCheck } from "./check.ts";
import { runContract, runWatch } from "./contract.ts";
import { runHint } from "./hint.ts";
import { runLab } from "./lab.ts";
import { runMap, runRead } from "./map.ts";
import { runReset, runSolution, runStart } from "./start.ts";
import { runTrace } from "./trace/trace.ts";
import { runCluster, runSim } from "./whole.ts";

interface Command {
  readonly usage: string;
  readonly summary: string;
  /** Resolves to the exit code. */
  run(args: readonly string[]): Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  map: { usage: "", summary: "the map: chapters, what is done and what is next", run: runMap },
  read: { usage: "read N", summary: "where the lesson is; the map ticks it", run: runRead },
  start: {
    usage: "start N",
    summary: "your copy of chapter N in own/, with the functions to write taken out",
    run: runStart,
  },
  test: {
    usage: "test N [own|ref] [part of a test's name]",
    summary: "the chapter's tests, on your copy if there is one, or on the reference",
    run: runContract,
  },
  watch: {
    usage: "watch N [own|ref] [part of a test's name]",
    summary: "the same after every change",
    run: runWatch,
  },
  hint: {
    usage: "hint N [function] [rung]",
    summary: "a nudge, a plan, nearly the solution: one more each time",
    run: runHint,
  },
  solution: {
    usage: "solution N",
    summary: "the difference between your copy and the reference",
    run: runSolution,
  },
  reset: {
    usage: "reset N",
    summary: "begins again; what you had is kept in own/.backup-…",
    run: runReset,
  },
  sim: {
    usage: "sim [N,N…] [-- --seed S]",
    summary: "200 simulated lives of your modules, and the least that breaks a promise",
    run: runSim,
  },
  cluster: {
    usage: "cluster [N,N…]",
    summary: "a real master and workers on your modules, killed half-way",
    run: runCluster,
  },
  trace: {
    usage: "trace WHAT [-- --svg FILE]",
    summary: "what happened in a script (12/freeze), a life (sim --seed 8) or a run, in lanes",
    run: runTrace,
  },
  break: {
    usage: "break N [name]",
    summary: "sabotages a copy of the project: predict what happens, then see",
    run: runBreak,
  },
  lab: {
    usage: "lab [N [VALUE [PREDICTION]]]",
    summary: "one knob and a budget: predict the number, turn the knob, see why",
    run: runLab,
  },
  bugs: {
    usage: "bugs [NAME]",
    summary: "planted bugs: guess which promise one breaks, and watch the simulator find it",
    run: runBugs,
  },
  check: {
    usage: "check [NN…] [--captions] [--record] [--no-cache]",
    summary:
      "the author's gate: fences, examples, transcripts, breaks, exercises, links, chapter order",
    run: runCheck,
  },
};

/** Exit codes as the CLI has them: 2 is a usage error. */
export async function main(args: readonly string[]): Promise<number> {
  const [name = "map", ...rest] = args;
  if (name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(`${listing()}\n`);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command) return command.run(rest);
  const near = suggest(name, Object.keys(COMMANDS));
  process.stderr.write(
    `Cannot learn ${JSON.stringify(name)}: no such ` +
      `command${near ? ` (did you mean ${near}?)` : ""}\n${listing()}\n`,
  );
  return 2;
}

function listing(): string {
  return Object.values(COMMANDS)
    .map(({ usage, summary }) => `  ${`npm run learn ${usage}`.trimEnd()}\n      ${summary}`)
    .join("\n");
}
