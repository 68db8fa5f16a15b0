/**
 * The learner's companion: one file per subcommand, and a table that names them.
 *
 * Test: test/learn-check.test.ts
 */
import { suggest } from "../lib/chapters.mjs";
import { runCheck } from "./check.ts";

interface Command {
  readonly usage: string;
  readonly summary: string;
  /** Resolves to the exit code. */
  run(args: readonly string[]): Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  check: {
    usage: "check [NN…] [--record] [--no-cache]",
    summary: "the author's gate: fences, examples, transcripts, breaks, exercises, links, chapter order",
    run: runCheck,
  },
};

/** Exit codes as the CLI has them: 2 is a usage error. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help") {
    process.stdout.write(`${listing()}\n`);
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    const near = suggest(name, Object.keys(COMMANDS));
    process.stderr.write(`Cannot learn ${JSON.stringify(name)}: no such command${near ? ` (did you mean ${near}?)` : ""}\n${listing()}\n`);
    return 2;
  }
  return command.run(rest);
}

function listing(): string {
  return Object.values(COMMANDS).map(({ usage, summary }) => `  npm run learn ${usage}\n      ${summary}`).join("\n");
}
