/**
 * A command is a declaration and a function. Parsing, help, completion and "did you mean" all
 * follow from the declaration.
 *
 * Invariants: an unknown flag or command is refused with a suggestion and never ignored; a flag
 * that is not given is absent, so that a default is decided where it is used.
 * Test: test/cli.test.ts
 */
import { parseArgs } from "node:util";
import { TAG } from "#base";
import type { Context } from "./context.ts";
import { UsageError } from "./exit.ts";
import { meantWord } from "./text.ts";

export interface Flag {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** How help names the value: `N`, `DIR`. */
  readonly value?: string;
  readonly summary: string;
  /** All that it can be, for completion. */
  readonly values?: readonly string[];
  /** For our own processes, not for people. */
  readonly hidden?: boolean;
  /**
   * The flag takes an empty text. For other flags an empty text is a variable that was not set:
   * `--master "$MASTER"`.
   */
  readonly mayBeEmpty?: boolean;
  /** It may be given again and again: `Call.texts`. Of other flags the last one counts. */
  readonly many?: boolean;
}

export interface Command {
  readonly name: string;
  /** Another name, for people who expect it. */
  readonly alias?: string;
  readonly summary: string;
  /** Positional arguments as help shows them: `RUN[/JOB]`. */
  readonly usage: string;
  /** How many positional arguments there may be. */
  readonly args: readonly [min: number, max: number];
  readonly flags: Readonly<Record<string, Flag>>;
  /** For our own scripts, not for people. */
  readonly hidden?: boolean;
  /** Paragraphs for `titan help NAME`. */
  readonly notes?: readonly string[];
  readonly examples: readonly string[];
  /**
   * A word that begins with one dash is an argument, as `-5` is, and so is every word behind `--`.
   * Flags have two dashes.
   */
  readonly dashArgs?: boolean;
  /** First words of the positional argument, for completion. */
  readonly words?: readonly string[];
  /** For somebody who gave too few or too many of them: what was probably meant. */
  countAdvice?(args: readonly string[]): string | undefined;
  run(call: Call): Promise<number>;
}

export function isNamed({ name, alias }: Command, word: string): boolean {
  return word === name || word === alias;
}

/** The longest sleep of Node's timers, 24 days and 20 hours. A longer one would end at once. */
const MAX_WAIT_MS = 2 ** 31 - 1;
/** For ages that nobody sleeps through: ten years. */
export const MAX_AGE_MS = 3650 * 24 * 3600 * 1000;

export const GLOBAL_FLAGS: Readonly<Record<string, Flag>> = {
  master: {
    type: "string",
    value: "HOST:PORT",
    summary: "the master to talk to (default TITAN_MASTER, else 127.0.0.1:9090)",
  },
  token: {
    type: "string",
    value: "TOKEN",
    summary: "its token (default TITAN_TOKEN, which other users of this machine cannot see)",
  },
  json: {
    type: "boolean",
    summary: "one JSON value on stdout; one per line where news keep coming",
  },
  help: { type: "boolean", short: "h", summary: "help for this command" },
};

interface Parsed {
  readonly args: readonly string[];
  readonly values: ReadonlyMap<string, string | true>;
  /** All of flags that may be there more than once, as they were given. */
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly literal: boolean;
}

/** One invocation: the command's arguments, checked, with the world around it. */
export class Call {
  readonly context: Context;
  readonly command: Command;
  readonly args: readonly string[];
  /** There was a `--`: the words behind it mean themselves. For commands with `dashArgs`. */
  readonly literal: boolean;
  readonly #values: ReadonlyMap<string, string | true>;
  readonly #lists: Parsed["lists"];

  constructor(context: Context, command: Command, parsed: Parsed) {
    this.context = context;
    this.command = command;
    this.args = parsed.args;
    this.literal = parsed.literal;
    this.#values = parsed.values;
    this.#lists = parsed.lists;
  }

  get json(): boolean {
    return this.on("json");
  }

  on(flag: string): boolean {
    return this.#values.has(flag);
  }

  text(flag: string): string | undefined {
    const value = this.#values.get(flag);
    return value === true ? undefined : value;
  }

  /** The values of a flag that may be given more than once. */
  texts(flag: string): readonly string[] {
    return this.#lists.get(flag) ?? [];
  }

  /** A flag's text; without one, that of a variable, if there is one for it. */
  #given(flag: string, variable?: string): { text: string; where: string } | undefined {
    const text = this.text(flag);
    if (text !== undefined) return { text, where: `--${flag}` };
    const set = variable === undefined ? undefined : this.context.setting(variable);
    return set === undefined ? undefined : { text: set, where: variable! };
  }

  /** A whole number in a range. */
  count(
    flag: string, { min, max }: { min: number; max: number }, variable?: string,
  ): number | undefined {
    const given = this.#given(flag, variable);
    if (given === undefined) return undefined;
    const { text, where } = given;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new UsageError(
      `Cannot use ${where} ${text}: must be a whole number from ${min} to ${max}`,
    );
  }

  /** Milliseconds; a plain number is seconds, as everywhere in Titan. */
  async durationMs(flag: string, most = MAX_WAIT_MS): Promise<number | undefined> {
    const text = this.text(flag);
    if (text === undefined) return undefined;
    const { parseDuration } = await import("#pipeline");
    const found = parseDuration(/^[\d.]+$/.test(text) ? `${text}s` : text);
    if (typeof found === "number" && found > 0 && found <= most) return found;
    const longest = most === MAX_WAIT_MS ? "24d20h" : `${Math.floor(most / 86_400_000)}d`;
    const limit = found === 0 ? "must be more than 0" : `must be shorter than ${longest}`;
    const why = typeof found === "string" ? found : limit;
    throw new UsageError(`Cannot use --${flag} ${text}: ${why}`);
  }

  /** Milliseconds since 1970, from an age (`10m`) or a date (`2026-03-01`, `2026-03-01T14:05`). */
  async moment(flag: string): Promise<number | undefined> {
    const text = this.text(flag);
    if (text === undefined) return undefined;
    if (/^\d{4}-\d\d-\d\d/.test(text)) {
      const at = Date.parse(text);
      if (!Number.isNaN(at)) return at;
    } else {
      const { parseDuration } = await import("#pipeline");
      const ago = parseDuration(/^[\d.]+$/.test(text) ? `${text}s` : text);
      if (typeof ago === "number") return Date.now() - ago;
    }
    const expected =
      "how long ago (90s, 10m, 2h) or a time (2026-03-01T14:05, 2026-03-01T14:05:09Z)";
    throw new UsageError(`Cannot use --${flag} ${text}: must be ${expected}`);
  }

  /** Capabilities: `GPU,HIGH_MEM`. */
  tags(flag = "tags", variable?: string): string[] | undefined {
    const given = this.#given(flag, variable);
    if (given === undefined) return undefined;
    const { text, where } = given;
    const tags = text.split(",").map((tag) => tag.trim()).filter((tag) => tag !== "");
    const bad = tags.find((tag) => !TAG.test(tag));
    if (bad === undefined) return tags;
    throw new UsageError(
      `Cannot use ${where} ${text}: "${bad}" is not a tag (letters, digits, _ . : -)`,
    );
  }
}

/**
 * Splits `titan --json runs` into the command's word and everything else. `strange`: a flag before
 * the word that is not a flag of every command. If it has a value, the value was taken for the
 * command.
 */
export function findCommand(
  argv: readonly string[],
): { name: string | undefined; rest: string[]; strange?: string } {
  let strange: string | undefined;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (!word.startsWith("-") || word === "-") {
      return { name: word, rest: argv.toSpliced(at, 1), ...(strange !== undefined && { strange }) };
    }
    const name = word.replace(/^--/, "");
    const flag = Object.hasOwn(GLOBAL_FLAGS, name) ? GLOBAL_FLAGS[name] : undefined;
    if (flag?.type === "string") at += 1;
    if (flag === undefined && word.startsWith("--") && !word.includes("=")) strange ??= word;
  }
  return { name: undefined, rest: [...argv] };
}

/** Checks the words of a command line against the declaration of the command. */
export async function parseCall(
  context: Context,
  command: Command,
  argv: readonly string[],
): Promise<Call> {
  const flags = { ...command.flags, ...GLOBAL_FLAGS };
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  );
  // Not strict: our own messages know the other flags, and say which one was meant.
  const { words, args, literal } = command.dashArgs
    ? setDashesAside(argv, flags)
    : { words: [...argv], args: [], literal: false };
  const { tokens } = parseArgs({
    args: words,
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string | true>();
  const lists = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const value = await valueOf(command, flags, token);
    values.set(token.name, value);
    if (flags[token.name]?.many !== true || value === true) continue;
    lists.set(token.name, [...(lists.get(token.name) ?? []), value]);
  }
  if (!values.has("help")) checkCount(command, args);
  return new Call(context, command, { args, values, lists, literal });
}

/** Separates the flags from the arguments. */
function setDashesAside(
  argv: readonly string[],
  flags: Readonly<Record<string, Flag>>,
): { words: string[]; args: string[]; literal: boolean } {
  const [words, args]: [string[], string[]] = [[], []];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") return { words, args: [...args, ...argv.slice(at + 1)], literal: true };
    const isFlag = word.startsWith("--") || (word === "-h" && args.length === 0);
    (isFlag ? words : args).push(word);
    // Its value is the next word, even if that begins with a dash.
    if (isFlag && flags[word.slice(2)]?.type === "string" && at + 1 < argv.length) {
      words.push(argv[++at]!);
    }
  }
  return { words, args, literal: false };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

async function valueOf(
  command: Command,
  flags: Readonly<Record<string, Flag>>,
  token: OptionToken,
): Promise<string | true> {
  const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
  const refusal = (why: string): UsageError =>
    new UsageError(`Cannot run titan ${command.name}: ${why}`, usageHint(command));
  const { rawName, value, inlineValue } = token;
  if (flag === undefined) {
    const known = Object.keys(flags).filter((name) => !flags[name]!.hidden);
    const meant = meantWord(token.name, known);
    const hint = meant === undefined ? "" : ` (did you mean --${meant}?)`;
    throw refusal(`unknown flag ${rawName}${hint}`);
  }
  if (flag.type === "boolean") {
    if (value !== undefined) throw refusal(`${rawName} takes no value, found "${value}"`);
    return true;
  }
  if (value === undefined || (!inlineValue && value.startsWith("-") && value !== "-")) {
    throw refusal(`${rawName} needs a value (${rawName} ${flag.value ?? "VALUE"})`);
  }
  if (value === "" && !flag.mayBeEmpty) {
    throw refusal(`${rawName} needs a value, found an empty one (a variable that is not set?)`);
  }
  return value;
}

function checkCount(command: Command, args: readonly string[]): void {
  const [min, max] = command.args;
  if (args.length >= min && args.length <= max) return;
  const few = args.length === 0 ? "nothing" : `only "${args.join(" ")}"`;
  const found = args.length < min ? few : `"${args[max]}" as well`;
  const takes = command.usage === "" ? "no arguments" : command.usage;
  throw new UsageError(
    `Cannot run titan ${command.name}: it takes ${takes}, found ${found}`,
    command.countAdvice?.(args) ?? usageHint(command),
  );
}

export function usageHint(command: Command): string {
  return `titan help ${command.name} says more`;
}
