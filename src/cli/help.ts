/**
 * Help, written from the declarations.
 *
 * Test: test/cli.test.ts
 */
import { GLOBAL_FLAGS, type Command, type Flag } from "./command.ts";
import { pad, width } from "./text.ts";

const MAX_COLUMNS = 100;

/** Commands in the order in which a newcomer needs them. */
const GROUPS: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Run", ["up", "run", "validate"]],
  ["Look", ["runs", "status", "watch", "logs", "workers", "dead"]],
  ["Change", ["cancel", "retry", "drain", "gates", "approve", "reject", "kv"]],
  ["Operate", ["master", "worker", "store", "log", "doctor", "completion", "help"]],
];

export function overview(commands: readonly Command[]): string {
  const byName = new Map(commands.map((command) => [command.name, command]));
  const lines = ["titan runs pipelines of jobs on many machines, and does not lose them.", "", "usage: titan COMMAND [ARGUMENTS] [FLAGS]"];
  for (const [title, names] of GROUPS) {
    lines.push("", title);
    for (const name of names) {
      const command = byName.get(name);
      if (command !== undefined) lines.push(`  ${pad(`${name} ${command.usage}`.trimEnd(), 22)}  ${command.summary}`);
    }
  }
  lines.push("", "Flags of every command", ...flagLines(GLOBAL_FLAGS), "", "First steps", "  titan run hello.yaml      no master needed: one is started for the run", "  titan up                  a cluster that stays", "  titan help run            all about one command");
  return lines.join("\n");
}

export function commandHelp(command: Command, columns = 80): string {
  const room = Math.min(columns, MAX_COLUMNS);
  const lines = [`titan ${command.name}: ${command.summary}`, "", `usage: titan ${`${command.name} ${command.usage}`.trimEnd()} [FLAGS]`];
  const own = flagLines(command.flags);
  if (own.length > 0) lines.push("", "Flags", ...own);
  lines.push("", "Flags of every command", ...flagLines(GLOBAL_FLAGS));
  for (const note of command.notes ?? []) lines.push("", ...wrap(note, room));
  lines.push("", "Examples", ...command.examples.map((example) => `  ${example}`));
  return lines.join("\n");
}

function flagLines(flags: Readonly<Record<string, Flag>>): string[] {
  return Object.entries(flags).filter(([, flag]) => !flag.hidden).map(([name, flag]) => {
    const spelled = `${flag.short === undefined ? "" : `-${flag.short}, `}--${name}${flag.type === "string" ? ` ${flag.value ?? "VALUE"}` : ""}`;
    return `  ${pad(spelled, 22)}  ${flag.summary}`;
  });
}

export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && width(line) + 1 + width(word) > columns) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
