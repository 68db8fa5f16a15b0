/**
 * How the command line ends: exit codes, and errors as sentences.
 *
 * Scripts branch on the code and people read the sentence, so both are decided here, in one place.
 *
 * Invariants: every error becomes exactly one code; a stack trace is shown only with TITAN_DEBUG=1.
 * Test: test/cli.test.ts
 */
import { fileReason } from "#host";
import { EXIT, isConnectionError } from "#wire";

export { EXIT, fileReason, isConnectionError };

/** An error for a person. The message says what was being done, a colon, and what was found. */
export class CliError extends Error {
  override readonly name: string = "CliError";
  readonly exitCode: number;
  /** The way out, on a line of its own. */
  readonly advice: string | undefined;

  constructor(
    exitCode: number,
    message: string,
    options: { advice?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = exitCode;
    this.advice = options.advice;
  }
}

/** The command line itself is wrong. */
export class UsageError extends CliError {
  override readonly name = "UsageError";
  constructor(message: string, advice?: string) {
    super(EXIT.USAGE, message, { advice });
  }
}

/** The exit code for a master's refusal. A code that is not named here is an ordinary error. */
const RPC_EXITS: Readonly<Record<string, number>> = {
  UNAUTHORIZED: EXIT.UNAUTHORIZED,
  UNSCHEDULABLE: EXIT.UNSCHEDULABLE,
  INVALID: EXIT.USAGE,
  CLOSED: EXIT.UNREACHABLE,
  DEADLINE: EXIT.UNREACHABLE,
};

/** Errors with such a code. */
const HAS_CODE: ReadonlySet<string> = new Set(["RpcError", "WorkerError", "HistoryError"]);

export function isRpcError(error: unknown, code: string): boolean {
  const found = error as { name?: string; code?: string } | undefined;
  return found?.name === "RpcError" && found.code === code;
}

/**
 * The exit code of any error. It looks at names and not at classes: most commands never load the
 * modules that throw them.
 */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  const { name, code = "" } = (error ?? {}) as { name?: string; code?: string };
  if (HAS_CODE.has(name ?? "")) return RPC_EXITS[code] ?? EXIT.ERROR;
  if (name === "ClusterError" && code === "INTERRUPTED") return EXIT.INTERRUPTED;
  if (name === "PipelineError" || name === "YamlError") return EXIT.USAGE;
  if (name === "MasterError" && code === "UNSAFE_ADDRESS") return EXIT.USAGE;
  return isConnectionError(error) ? EXIT.UNREACHABLE : EXIT.ERROR;
}

/** The lines to print for an error, each already complete. */
export function describeError(error: unknown, options: { debug?: boolean } = {}): string[] {
  if (!(error instanceof Error)) return [`titan: ${String(error)}`];
  const { format } = error as { format?: () => string };
  // A problem inside a file: the line begins with the place, where editors and people look for it.
  if (typeof format === "function") return [format.call(error), ...trace(error, options.debug)];
  const lines = [`titan: ${fileProblem(error) ?? error.message}`];
  const { advice } = error as { advice?: unknown };
  if (typeof advice === "string") lines.push(`  ${advice}`);
  if (error.name === "LogError" && DAMAGE.has((error as { code?: string }).code ?? "")) {
    lines.push(
      "  titan eventlog verify DIR lists every problem; titan eventlog repair DIR --dry-run says " +
        "what a repair would do",
    );
    if (error.message.includes(": its header is gone")) {
      lines.push(
        "  titan master --accept-loss (or up) starts without it, if you know that nothing was in " +
          "it",
      );
    }
  }
  if (isBug(error) && !options.debug) {
    lines.push("  this looks like a bug of Titan; TITAN_DEBUG=1 shows where it happened");
  }
  return [...lines, ...trace(error, options.debug)];
}

/** Codes of a LogError that titan eventlog can help with. */
const DAMAGE: ReadonlySet<string> = new Set(["DAMAGED", "GAP", "BAD_FORMAT"]);

/** An error of the file system that no code on its way here has put into words. */
function fileProblem(error: Error): string | undefined {
  const { code = "", syscall = "", path } = error as NodeJS.ErrnoException;
  if (path === undefined || !error.message.startsWith(`${code}: `)) return undefined;
  const why = fileReason(error);
  if (why === error.message) return undefined;
  return `Cannot ${syscall.startsWith("mkd") ? "make the folder" : "use"} ${path}: ${why}`;
}

const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError] as const;

function isBug(error: Error): boolean {
  // titan step, typed where no job runs.
  if ((error as { code?: string }).code === "NO_JOB") return false;
  return BUGS.some((kind) => error instanceof kind) || /^(Invariant|Bug)/.test(error.message);
}

function trace(error: Error, debug: boolean | undefined): string[] {
  return debug ? [error.stack ?? ""] : [];
}
