/**
 * The command line from the first word to the exit code, whichever commands the program has:
 * `titan` has all of them, the worker's bundle has two.
 *
 * Test: test/cli.test.ts
 */
import { VERSION } from "#host";
import { findCommand, GLOBAL_FLAGS, isNamed, parseCall, type Command } from "./command.ts";
import type { Context } from "./context.ts";
import { describeError, EXIT, exitCodeOf, UsageError } from "./exit.ts";
import { commandHelp, overview } from "./help.ts";
import { meantHint, meantWord, shellWord } from "./text.ts";

/** First guesses of people who come from other tools. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["ps", "runs"], ["ls", "runs"], ["list", "runs"], ["jobs", "status"], ["job", "status"],
  ["show", "status"], ["describe", "status"], ["submit", "run"], ["apply", "run"],
  ["start", "up"], ["serve", "up"], ["kill", "cancel"], ["delete", "cancel"], ["rm", "cancel"],
  ["nodes", "workers"], ["tail", "logs"], ["port-forward", "forward"],
]);

export interface Program {
  /** By name, each to be loaded: a command line needs one of them, help and completion all. */
  readonly commands: ReadonlyMap<string, () => Promise<Command>>;
  /** Why a command that people will look for is not here; undefined for any other word. */
  whyMissing(name: string): string | undefined;
}

/** `titan help`. */
export const helpCommand = (program: () => Program): Command => ({
  name: "help",
  summary: "help for a command",
  usage: "[COMMAND]",
  args: [0, 1],
  flags: {},
  examples: ["titan help run"],
  async run({ context, args: [name] }) {
    context.out(
      name === undefined
        ? overview(await commandsOf(program()), context.columns)
        : commandHelp(await commandNamed(program(), name), context.columns),
    );
    return EXIT.OK;
  },
});

export const version: Command = {
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

export function commandsOf({ commands }: Program): Promise<Command[]> {
  return Promise.all([...commands.values()].map((load) => load()));
}

async function commandNamed(program: Program, name: string): Promise<Command> {
  const load = program.commands.get(name);
  if (load !== undefined) return load();
  const commands = await commandsOf(program);
  const found = commands.find((command) => isNamed(command, name));
  if (found !== undefined) return found;
  const shown = commands.filter(({ hidden }) => !hidden).map((command) => command.name);
  const other = ELSEWHERE.get(name);
  const known = other !== undefined && program.commands.has(other);
  const hint = meantHint(name, shown) || (known ? ` (did you mean ${other}?)` : "");
  const why = program.whyMissing(name);
  const advice = `titan help lists ${why === undefined ? "all" : "what is"}`;
  const problem = why ?? "there is no such command";
  throw new UsageError(`Cannot run titan ${shellWord(name)}: ${problem}${hint}`, advice);
}

/** Runs one command line, reports an error, cleans up, and returns the exit code. */
export async function runCommandLine(
  program: Program,
  context: Context,
  argv: readonly string[],
): Promise<number> {
  try {
    return await dispatch(program, context, argv);
  } catch (error) {
    for (const line of describeError(error, { debug: context.debug })) context.note(line);
    return exitCodeOf(error);
  } finally {
    await context.cleanUp();
  }
}

async function dispatch(
  program: Program,
  context: Context,
  argv: readonly string[],
): Promise<number> {
  const { name, rest, strange } = findCommand(argv);
  if (name === undefined) return withoutCommand(program, context, argv);
  const command = await commandNamed(program, name).catch(async (error: unknown) => {
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

async function withoutCommand(
  program: Program,
  context: Context,
  argv: readonly string[],
): Promise<number> {
  if (["--version", "-V", "-v"].some((flag) => argv.includes(flag))) {
    context.out(`titan ${VERSION}`);
    return EXIT.OK;
  }
  if (argv.includes("--help") || argv.includes("-h")) {
    context.out(overview(await commandsOf(program), context.columns));
    return EXIT.OK;
  }
  if (argv.length > 0) {
    throw new UsageError(
      `Cannot run titan ${argv.join(" ")}: expected a command`,
      "titan help lists them",
    );
  }
  context.note(overview(await commandsOf(program), context.columns));
  return EXIT.USAGE;
}
