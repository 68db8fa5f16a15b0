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
  ["Run", ["up", "run", "validate", "graph"]],
  ["Look", ["runs", "status", "watch", "logs", "replay", "agents", "workers", "dead"]],
  ["Serve", ["deploy", "services", "forward", "scale", "rollback", "stop", "restart"]],
  ["Scale", ["pools", "launch", "retire", "drain"]],
  ["Change", ["cancel", "retry", "gates", "approve", "reject", "kv", "artifact"]],
  ["In a job", ["step", "add"]],
  [
    "Operate",
    [
      "master", "worker", "store", "mcp", "eventlog", "backup", "restore", "doctor",
      "completion", "version", "help",
    ],
  ],
];

/** Where a summary begins, if the terminal has room for what is before it. */
const SUMMARY_CELLS = 26;
/** Below this a summary has a line of its own. */
const MIN_SUMMARY_CELLS = 30;

const FIRST_STEPS: readonly (readonly [command: string, summary: string])[] = [
  ["titan run hello.yaml", "no master needed: one is started for the run"],
  ["titan up", "a cluster that stays"],
  ["titan help run", "all about one command"],
];

export function overview(commands: readonly Command[], columns = MAX_COLUMNS): string {
  const byName = new Map(commands.map((command) => [command.name, command]));
  const lines = [
    ...wrap("titan runs pipelines of jobs on many machines, and does not lose them.", columns),
    "",
    ...wrap("usage: titan COMMAND [ARGUMENTS] [FLAGS]", columns),
  ];
  for (const [title, names] of GROUPS) {
    const group = names.flatMap((name) => byName.get(name) ?? []);
    if (group.length > 0) lines.push("", title);
    for (const { name, usage, summary } of group) {
      lines.push(...entry(`${name} ${usage}`.trimEnd(), summary, columns));
    }
  }
  lines.push("", "Flags of every command", ...flagLines(GLOBAL_FLAGS, columns));
  if (!byName.has("run")) return lines.join("\n"); // the worker's bundle
  lines.push("", "First steps");
  for (const [command, summary] of FIRST_STEPS) lines.push(...entry(command, summary, columns));
  return lines.join("\n");
}

export function commandHelp(command: Command, columns = MAX_COLUMNS): string {
  const room = Math.min(columns, MAX_COLUMNS);
  const usage = `usage: titan ${`${command.name} ${command.usage}`.trimEnd()} [FLAGS]`;
  const lines = [
    ...wrap(`titan ${command.name}: ${command.summary}`, room),
    "",
    ...wrap(usage, room),
  ];
  const own = flagLines(command.flags, columns);
  if (own.length > 0) lines.push("", "Flags", ...own);
  lines.push("", "Flags of every command", ...flagLines(GLOBAL_FLAGS, columns));
  for (const note of command.notes ?? []) lines.push("", ...wrap(note, room));
  lines.push("", "Examples", ...command.examples.map((example) => `  ${example}`));
  return lines.join("\n");
}

function flagLines(flags: Readonly<Record<string, Flag>>, columns: number): string[] {
  return Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .flatMap(([name, flag]) => {
      const value = flag.type === "string" ? ` ${flag.value ?? "VALUE"}` : "";
      const short = flag.short === undefined ? "" : `-${flag.short}, `;
      return entry(`${short}--${name}${value}`, flag.summary, columns);
    });
}

/** The thing that is explained, and its summary in the second column or below. */
function entry(what: string, summary: string, columns: number): string[] {
  const whole = `  ${pad(what, SUMMARY_CELLS - 4)}  ${summary}`;
  if (width(whole) <= columns) return [whole];
  const room = columns - SUMMARY_CELLS;
  if (room < MIN_SUMMARY_CELLS || width(what) > SUMMARY_CELLS - 4) {
    return [`  ${what}`, ...wrap(summary, columns - 6).map((line) => `      ${line}`)];
  }
  const [first, ...rest] = wrap(summary, room);
  const below = rest.map((line) => " ".repeat(SUMMARY_CELLS) + line);
  return [`  ${pad(what, SUMMARY_CELLS - 4)}  ${first}`, ...below];
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
