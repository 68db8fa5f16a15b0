/**
 * The program `titan`: all its commands.
 *
 * Test: test/cli.test.ts
 */
import type { Command } from "./command.ts";
import { backup, restore } from "./commands/backup.ts";
import { completeCommand, completionCommand } from "./commands/completion.ts";
import { cancel, retry } from "./commands/control.ts";
import { approve, reject } from "./commands/decide.ts";
import { dead } from "./commands/dead.ts";
import { deploy } from "./commands/deploy.ts";
import { doctor } from "./commands/doctor.ts";
import { drain } from "./commands/drain.ts";
import { kv } from "./commands/kv.ts";
import { eventlog } from "./commands/eventlog.ts";
import { logs } from "./commands/logs.ts";
import { master } from "./commands/master.ts";
import { run } from "./commands/run.ts";
import { gates, runs, workers } from "./commands/runs.ts";
import { restart, services, stop } from "./commands/services.ts";
import { status } from "./commands/status.ts";
import { store } from "./commands/store.ts";
import { up } from "./commands/up.ts";
import { validate } from "./commands/validate.ts";
import { watch } from "./commands/watch.ts";
import { worker } from "./commands/worker.ts";
import type { Context } from "./context.ts";
import { helpCommand, runCommandLine, version, type Program } from "./dispatch.ts";

export const COMMANDS: readonly Command[] = [
  up,
  run,
  validate,
  runs,
  status,
  watch,
  logs,
  workers,
  dead,
  deploy,
  services,
  stop,
  restart,
  cancel,
  retry,
  drain,
  gates,
  approve,
  reject,
  kv,
  master,
  worker,
  store,
  eventlog,
  backup,
  restore,
  doctor,
  completionCommand(),
  completeCommand(() => COMMANDS),
  version,
  helpCommand(() => TITAN),
];

/**
 * Commands that people will look for and that a later version has. A sentence helps them more than
 * "unknown command".
 */
const LATER: readonly string[] = ["scale", "rollback", "forward", "artifact", "mcp"];

const TITAN: Program = {
  commands: COMMANDS,
  whyMissing: (name) => LATER.includes(name) ? "it is not in this version yet" : undefined,
};

/** Runs one command line, reports an error, cleans up, and returns the exit code. */
export function runProgram(context: Context, argv: readonly string[]): Promise<number> {
  return runCommandLine(TITAN, context, argv);
}
