/**
 * The command line from the first word to the exit code.
 *
 * Test: test/cli.test.ts
 */
import { VERSION } from "#host";
import { findCommand, GLOBAL_FLAGS, isNamed, parseCall, type Command } from "./command.ts";
import { completeCommand, completionCommand } from "./commands/completion.ts";
import { cancel, retry } from "./commands/control.ts";
import { approve, reject } from "./commands/decide.ts";
import { dead } from "./commands/dead.ts";
import { doctor } from "./commands/doctor.ts";
import { drain } from "./commands/drain.ts";
import { kv } from "./commands/kv.ts";
import { eventlog } from "./commands/eventlog.ts";
import { logs } from "./commands/logs.ts";
import { master } from "./commands/master.ts";
import { run } from "./commands/run.ts";
import { gates, runs, workers } from "./commands/runs.ts";
import { status } from "./commands/status.ts";
import { store } from "./commands/store.ts";
import { up } from "./commands/up.ts";
import { validate } from "./commands/validate.ts";
import { watch } from "./commands/watch.ts";
import { worker } from "./commands/worker.ts";
import { Context } from "./context.ts";
import { describeError, EXIT, exitCodeOf, UsageError } from "./exit.ts";
import { commandHelp, overview } from "./help.ts";
import { meantHint, meantWord } from "./text.ts";

const help: Command = {
  name: "help",
  summary: "help for a command",
  usage: "[COMMAND]",
  args: [0, 1],
  flags: {},
  examples: ["titan help run"],
  async run({ context, args: [name] }) {
    context.out(
      name === undefined
        ? overview(COMMANDS, context.columns)
        : commandHelp(await commandNamed(name), context.columns),
    );
    return EXIT.OK;
  },
};

const version: Command = {
  name: "version",
  summary: "which Titan this is, and which Node it runs on",
  usage: "",
  args: [0, 0],
  flags: {},
  examples: ["titan version", "titan version --json"],
  async run({ context, json }) {
    if (json) {
      const { versions, platform, arch } = process;
      context.json({ version: VERSION, node: versions.node, platform, arch });
    } else context.out(`titan ${VERSION}`);
    return EXIT.OK;
  },
};

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
  doctor,
  completionCommand(),
  completeCommand(() => COMMANDS),
  version,
  help,
];

/**
 * Commands that people will look for and that a later version has. A sentence helps them more than
 * "unknown command".
 */
const LATER: readonly string[] = ["services", "deploy", "stop", "artifact", "mcp"];

async function commandNamed(name: string): Promise<Command> {
  const found = COMMANDS.find((command) => isNamed(command, name));
  if (found !== undefined) return found;
  if (LATER.includes(name)) {
    throw new UsageError(
      `Cannot run titan ${name}: it is not in this version yet`,
      "titan help lists what is",
    );
  }
  const shown = COMMANDS.filter(({ hidden }) => !hidden).map((command) => command.name);
  throw new UsageError(
    `Cannot run titan ${name}: there is no such command${meantHint(name, shown)}`,
    "titan help lists all",
  );
}

/** Runs one command line, reports an error, cleans up, and returns the exit code. */
export async function runProgram(context: Context, argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(context, argv);
  } catch (error) {
    for (const line of describeError(error, { debug: context.debug })) context.note(line);
    return exitCodeOf(error);
  } finally {
    await context.cleanUp();
  }
}

async function dispatch(context: Context, argv: readonly string[]): Promise<number> {
  const { name, rest, strange } = findCommand(argv);
  if (name === undefined) return withoutCommand(context, argv);
  const command = await commandNamed(name).catch(async (error: unknown) => {
    throw strange === undefined ? error : await strangeFlag(strange);
  });
  const call = await parseCall(context, command, rest);
  if (call.on("help")) {
    context.out(commandHelp(command, context.columns));
    return EXIT.OK;
  }
  return command.run(call);
}

/** `titan --mater x runs`: the flag is wrong, and not the word behind it. */
async function strangeFlag(flag: string): Promise<UsageError> {
  const meant = meantWord(flag.slice(2), Object.keys(GLOBAL_FLAGS));
  if (meant !== undefined) {
    return new UsageError(`Cannot run titan: unknown flag ${flag} (did you mean --${meant}?)`);
  }
  return new UsageError(
    `Cannot run titan: unknown flag ${flag} before the command`,
    "flags of a command come behind it",
  );
}

function withoutCommand(context: Context, argv: readonly string[]): number {
  if (["--version", "-V", "-v"].some((flag) => argv.includes(flag))) {
    context.out(`titan ${VERSION}`);
    return EXIT.OK;
  }
  if (argv.includes("--help") || argv.includes("-h")) {
    context.out(overview(COMMANDS, context.columns));
    return EXIT.OK;
  }
  if (argv.length > 0) {
    throw new UsageError(
      `Cannot run titan ${argv.join(" ")}: expected a command`,
      "titan help lists them",
    );
  }
  context.note(overview(COMMANDS, context.columns));
  return EXIT.USAGE;
}
