/**
 * The words that could come next on a command line. The scripts for the shells
 * (commands/completion.ts) ask with every Tab:
 *
 *     titan __complete -- logs nig      ─▶  nightly-7k2m ⇥ COMPLETED
 *     titan __complete -- run ""        ─▶  :files     the shell knows names, and how to quote
 *
 * Everything follows from the declarations: the usage of a command says what each argument is, and
 * the value of a flag says what the flag takes.
 *
 * Invariants: prints candidates and nothing else, whatever goes wrong; a master gets ASK_MS to
 * answer.
 * Left out: keys of a store; what was deployed.
 * Test: test/cli.completion.test.ts
 */
import type { Client } from "#sdk";
import { GLOBAL_FLAGS, isNamed, type Command, type Flag } from "./command.ts";
import { LATEST } from "./refs.ts";

export interface Candidate {
  readonly value: string;
  readonly note: string;
}

/** Candidates, or the kind of name that the shell itself has to look for. */
export type Completion = readonly Candidate[] | "files" | "folders";

/** The kinds of an argument, or of the value of a flag. */
type Kind =
  "file" | "folder" | "run" | "job" | "run or job" | "worker" | "gate" | "pool" | "command" |
  "other";

/** Kinds by the name that help gives to the argument. */
const KINDS: Readonly<Record<string, Kind>> = {
  FILE: "file",
  "FILE|-": "file",
  DIR: "folder",
  RUN: "run",
  "RUN[/JOB]": "run or job",
  JOB: "job",
  WORKER: "worker",
  GATE: "gate",
  POOL: "pool",
  "[POOL]": "pool",
  "[COMMAND]": "command",
};

export interface CompleteOptions {
  readonly commands: readonly Command[];
  /** A session with the master that the line means, or nothing if it takes too long to get one. */
  connect(flags: ReadonlyMap<string, string>): Promise<Client | undefined>;
}

/** The words before the one that is being completed. */
interface Before {
  readonly command: Command | undefined;
  readonly args: readonly string[];
  readonly flags: ReadonlyMap<string, string>;
  /** The flag whose value comes next. */
  readonly pending: Flag | undefined;
  readonly isLiteral: boolean;
}

/** @param words all but the program's name; the last one is being typed, and may be empty */
export async function complete(
  words: readonly string[],
  options: CompleteOptions,
): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const before = readBefore(words.slice(0, -1), options.commands);
  const { command, pending, isLiteral } = before;
  const inline = /^(--[^=]+=)(.*)$/s.exec(current);
  if (inline !== null && !isLiteral) {
    const [, prefix = "", typed = ""] = inline;
    const flag = flagsOf(command)[prefix.slice(2, -1)];
    if (flag?.type !== "string") return [];
    const found = await valuesOf(flag, typed, { before, options });
    if (typeof found === "string") return [];
    return found.map(({ value, note }) => ({ value: prefix + value, note }));
  }
  if (pending !== undefined) return valuesOf(pending, current, { before, options });
  if (current.startsWith("-") && !isLiteral) return flagCandidates(before, current);
  if (command === undefined) return commandCandidates(options.commands, current);
  return argumentCandidates(command, current, { before, options });
}

function readBefore(words: readonly string[], commands: readonly Command[]): Before {
  let command: Command | undefined;
  let pending: { name: string; flag: Flag } | undefined;
  let isLiteral = false;
  const args: string[] = [];
  const flags = new Map<string, string>();
  for (const word of words) {
    if (pending !== undefined) {
      if (word === "=") continue; // bash makes three words of --flag=value
      flags.set(pending.name, word);
      pending = undefined;
    } else if (word === "--" && !isLiteral) {
      isLiteral = true;
    } else if (word.startsWith("-") && word !== "-" && !isLiteral) {
      const [, name = "", value] = /^-{1,2}([^=]*)(?:=(.*))?$/s.exec(word)!;
      const flag = flagNamed(command, name);
      if (flag?.type === "string" && value === undefined) pending = { name, flag };
      else flags.set(name, value ?? "");
    } else if (command === undefined) {
      command = commands.find((found) => isNamed(found, word)) ?? UNKNOWN;
    } else {
      args.push(word);
    }
  }
  return { command, args, flags, pending: pending?.flag, isLiteral };
}

/** Stands for a mistyped command: it has no candidates. */
const UNKNOWN: Command = {
  name: "",
  summary: "",
  usage: "",
  args: [0, 0],
  flags: {},
  examples: [],
  run: async () => 0,
};

function flagsOf(command: Command | undefined): Readonly<Record<string, Flag>> {
  return { ...command?.flags, ...GLOBAL_FLAGS };
}

function flagNamed(command: Command | undefined, name: string): Flag | undefined {
  const flags = flagsOf(command);
  if (Object.hasOwn(flags, name)) return flags[name];
  return Object.values(flags).find(({ short }) => short === name);
}

function flagCandidates({ command, flags }: Before, current: string): Candidate[] {
  const open = Object.entries(flagsOf(command)).filter(
    ([name, flag]) => !flag.hidden && (flag.many === true || !flags.has(name)),
  );
  return fitting(
    open.map(([name, { summary }]) => ({ value: `--${name}`, note: summary })),
    current,
  );
}

function commandCandidates(commands: readonly Command[], current: string): Candidate[] {
  const shown = commands.filter(({ hidden }) => !hidden);
  return fitting(
    shown.map(({ name, summary }) => ({ value: name, note: summary })),
    current,
  );
}

interface Around {
  readonly before: Before;
  readonly options: CompleteOptions;
}

async function argumentCandidates(
  command: Command,
  current: string,
  around: Around,
): Promise<Completion> {
  const at = around.before.args.length;
  if (at >= command.args[1]) return [];
  const words = at === 0 ? bare(command.words ?? []) : [];
  const fit = fitting(words, current);
  if (fit.length > 0) return fit;
  return candidatesOf(KINDS[command.usage.split(" ")[at] ?? ""] ?? "other", current, around);
}

async function valuesOf(flag: Flag, current: string, around: Around): Promise<Completion> {
  if (flag.values !== undefined) return fitting(bare(flag.values), current);
  return candidatesOf(KINDS[flag.value ?? ""] ?? "other", current, around);
}

async function candidatesOf(
  kind: Kind,
  current: string,
  { before, options }: Around,
): Promise<Completion> {
  if (kind === "other") return [];
  if (kind === "file") return "files";
  if (kind === "folder") return "folders";
  if (kind === "command") return commandCandidates(options.commands, current);
  const client = await options.connect(before.flags);
  if (client === undefined) return [];
  return fitting(await ask(client, kind, { current, before }), current);
}

async function ask(
  client: Client,
  kind: Kind,
  { current, before }: { current: string; before: Before },
): Promise<Candidate[]> {
  if (kind === "worker") {
    const workers = await client.workers();
    return workers.map(({ name, tags }) => ({ value: name, note: tags.join(",") }));
  }
  if (kind === "pool") {
    return (await client.pools()).pools.map(({ name, why }) => ({ value: name, note: why }));
  }
  if (kind === "gate")
    return (await client.gates()).map(({ id, message }) => ({ value: id, note: message }));
  if (kind === "job") return jobsOf(client, before.args[0] ?? LATEST, "");
  const slash = current.indexOf("/");
  if (kind === "run or job" && slash >= 0)
    return jobsOf(client, current.slice(0, slash), current.slice(0, slash + 1));
  const runs = (await client.runs()).reverse(); // the newest first
  return runs.map(({ id, status }) => ({ value: id, note: status }));
}

async function jobsOf(client: Client, typed: string, prefix: string): Promise<Candidate[]> {
  const run = typed === LATEST ? (await client.runs()).at(-1)?.id : typed;
  if (run === undefined) return [];
  const { jobs } = await client.status(run);
  return jobs.map(({ id, status }) => ({ value: `${prefix}${id}`, note: status }));
}

/** Words that need no explanation. */
function bare(words: readonly string[]): Candidate[] {
  return words.map((value) => ({ value, note: "" }));
}

function fitting(candidates: readonly Candidate[], current: string): Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(current));
}
