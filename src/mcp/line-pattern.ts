/**
 * Lesson 20: a pattern that a model has written, kept on a leash.
 *
 * A pattern such as `(a+)+$` takes longer than anybody lives, and a regular expression cannot be
 * stopped from within: this process, which may be the master's, would do nothing else. A context
 * of node:vm has a timeout, which ends it in the middle of a match.
 *
 * Invariant: matching takes MAX_TRIES times LIMIT_MS at most for each batch, and TOTAL_MS for all
 * of a call.
 * Test: test/20-mcp.tools.test.ts
 */
import { createContext, Script } from "node:vm";
import type { Host } from "#host";
import { ToolProblem } from "./tools/tool.ts";

/**
 * Some 10,000 lines match in a millisecond or two. Nobody notices that a master was away so long.
 */
const LIMIT_MS = 100;
const TOTAL_MS = 1000;
/** The timeout is one of the clock: on a busy machine we may have had no time in it to compute. */
const MAX_TRIES = 2;

const SCRIPT = new Script("lines.map((line) => pattern.test(line))");

/** @throws {ToolProblem} it is no pattern */
export function linePattern(
  source: string, host: Host,
): (lines: readonly string[]) => readonly boolean[] {
  const doing = `Cannot use grep ${JSON.stringify(source.slice(0, 100))}`;
  let pattern: RegExp;
  try {
    pattern = new RegExp(source, "u");
  } catch (error) {
    throw new ToolProblem(`${doing}: ${(error as Error).message}`);
  }
  const tooLong = (): ToolProblem =>
    new ToolProblem(`${doing}: it takes too long; write it simpler`);
  const context = createContext({ pattern, lines: [] as readonly string[] });
  let spent = 0;
  return (lines) => {
    context["lines"] = lines;
    for (let tries = 1; ; tries++) {
      const began = host.clock.monotonic();
      try {
        return SCRIPT.runInContext(context, { timeout: LIMIT_MS }) as boolean[];
      } catch (error) {
        if ((error as { code?: string }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
        if (tries === MAX_TRIES) throw tooLong();
      } finally {
        spent += host.clock.monotonic() - began;
        if (spent > TOTAL_MS) throw tooLong();
      }
    }
  };
}
