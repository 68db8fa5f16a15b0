/**
 * `titan step`: a durable step of a job that is a script (lesson 18).
 *
 *     titan step fetch -- curl -s https://example.org/
 *
 * The first attempt runs the command; a later one prints what it has printed, and runs nothing.
 *
 * Invariants: what is printed is the same in every attempt; a command that fails leaves no result,
 * and its exit code is that of `titan step`.
 * Left out: stdin. It goes to the command, and is no part of its name: give --input.
 * Test: test/18-agents.kill.test.ts
 */
import { spawn } from "node:child_process";
import { JobProgram, jobSettings, StepError } from "#sdk";
import { ON_AMBIGUOUS, STEP_EFFECTS, type OnAmbiguous, type StepEffect } from "#wire";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";

/** The output of a step that is not text. */
interface Base64 {
  readonly base64: string;
}

/** The command ended with an error. */
class StepFailed extends Error {
  readonly exitCode: number;
  constructor(what: string, exitCode: number) {
    super(what);
    this.exitCode = exitCode;
  }
}

/** As a shell does for a command that a signal ended, or that is not there. */
const SIGNAL_EXIT = 128;
const NOT_FOUND = 127;

export const step: Command = {
  name: "step",
  summary: "in a job: run a command once, whatever happens to the job",
  usage: "NAME -- COMMAND [ARGUMENT...]",
  args: [2, Infinity],
  flags: {
    effect: {
      type: "string", value: "EFFECT", values: STEP_EFFECTS,
      summary: "of a second call: read, idempotent (the default), or once: it does damage",
    },
    "on-ambiguous": {
      type: "string", value: "WHAT", values: ON_AMBIGUOUS,
      summary: "if nobody knows how it ended: retry, fail, or ask (for --effect once: ask)",
    },
    input: {
      type: "string", value: "TEXT", mayBeEmpty: true,
      summary: "what it depends on beside its words: another input is another step",
    },
    ordinal: { type: "string", value: "N", summary: "the step of this name (default 1)" },
  },
  notes: [
    "What COMMAND prints is kept once it has ended with 0. In a later attempt of the job it does " +
      "not run again: the same is printed at once. Names are unique in a script; a loop counts " +
      "(`titan step fetch-$i -- …`).",
    "COMMAND finds TITAN_STEP_KEY in its environment: the same in every attempt, for services " +
      "that know a call again.",
    "Exit codes: that of COMMAND · 0 also when it ran in an earlier attempt · 1 the same name " +
      "with another command (STEP_CHANGED), or nobody knows how it ended.",
    "With --effect once a person is asked about a step of which nobody knows how it ended " +
      "(titan gates); the script waits for the answer.",
  ],
  examples: [
    "titan step plan -- ./plan.sh moon > plan.json",
    "titan step charge --effect once -- curl -sf -H \"Idempotency-Key: $TITAN_STEP_KEY\" -d @- …",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [name, ...argv] = call.args as [string, ...string[]];
    const ordinal = call.count("ordinal", { min: 1, max: 10_000 }) ?? 1;
    const settings = jobSettings((variable) => context.setting(variable));
    // The script would go on: a step that waits for a person, or for a budget, holds its slot.
    const job = new JobProgram(settings, { hold: true });
    context.onExit(() => job.close());
    let hasRun = false;
    try {
      const printed = await job.step(name, { argv, input: call.text("input") }, ({
        idempotencyKey,
      }) => {
        hasRun = true;
        return run(argv, { ...context.env, TITAN_STEP_KEY: idempotencyKey });
      }, { ...optionsOf(call), ordinal });
      if (!hasRun) await context.pour("stdout", bytesOf(printed));
      return EXIT.OK;
    } catch (error) {
      if (error instanceof StepFailed) {
        context.note(`titan: step ${name}: ${error.message}`);
        return error.exitCode;
      }
      if (!(error instanceof StepError)) throw error;
      throw new CliError(EXIT.ERROR, error.message, { cause: error });
    }
  },
};

function optionsOf(call: Call): { effect?: StepEffect; onAmbiguous?: OnAmbiguous } {
  const effect = oneOf(call, "effect", STEP_EFFECTS);
  const onAmbiguous = oneOf(call, "on-ambiguous", ON_AMBIGUOUS);
  return { ...(effect && { effect }), ...(onAmbiguous && { onAmbiguous }) };
}

function oneOf<T extends string>(call: Call, flag: string, words: readonly T[]): T | undefined {
  const text = call.text(flag);
  if (text === undefined) return undefined;
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  throw new UsageError(`Cannot use --${flag} ${text}: must be ${words.join(", ")}`);
}

/** Runs the command, and prints what it prints while it does. Resolves with all of it. */
function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<string | Base64> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const [program = "", ...args] = argv;
    const child = spawn(program, args, { env, stdio: ["inherit", "pipe", "inherit"] });
    child.stdout.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (process.stdout.write(chunk)) return;
      child.stdout.pause();
      process.stdout.once("drain", () => child.stdout.resume());
    });
    child.on("error", (error) => {
      reject(new StepFailed(`cannot run ${program}: ${error.message}`, NOT_FOUND));
    });
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(textOf(Buffer.concat(chunks)));
      if (code !== null) return reject(new StepFailed(`${program} exited with code ${code}`, code));
      reject(new StepFailed(`${program} was ended by ${signal}`, SIGNAL_EXIT));
    });
  });
}

function textOf(bytes: Buffer): string | Base64 {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString("base64") };
}

function bytesOf(printed: string | Base64): Buffer {
  return typeof printed === "string" ? Buffer.from(printed) : Buffer.from(printed.base64, "base64");
}
