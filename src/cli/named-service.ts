/**
 * A service as a person names it: SERVICE, RUN, RUN/JOB or `@latest`.
 *
 * Test: test/14-services.cli.test.ts
 */
import { current, grouped } from "#rows";
import type { RunCalls } from "#calls";
import { CliError, EXIT, isRpcError } from "./exit.ts";
import { findRun, LATEST } from "./refs.ts";
import { meantHint } from "./text.ts";

/** Asks with the name as it was typed. Only if there is none, looks which one was meant. */
export async function asked<T>(
  client: RunCalls, typed: string, ask: (name: string) => Promise<T>,
): Promise<T> {
  try {
    return await ask(typed === LATEST ? await findRun(client, typed) : typed);
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const known = current(grouped(await client.services())).map(({ name }) => name);
    // One that is over has its name still: to ask for it again would not help.
    const names = known.filter((name) => name !== typed);
    const hint = meantHint(typed, [...new Set(names)]);
    throw new CliError(EXIT.ERROR, `${(error as Error).message}${hint}`, {
      advice: hint === "" ? "titan services lists them" : undefined,
    });
  }
}
