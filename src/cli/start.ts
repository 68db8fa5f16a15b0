/**
 * From the first line of a program to the end of its process.
 *
 * Invariants: all output has arrived before the process ends; when its reader goes away
 * (`titan logs … | head`), the process ends quietly, and everything that it had started with it.
 * Test: test/cli.test.ts
 */
import { Context } from "./context.ts";
import { EXIT } from "./exit.ts";

type Run = (context: Context, argv: readonly string[]) => Promise<number>;

/** Runs the command line of this process, and ends the process. */
export async function start(run: Run): Promise<never> {
  const context = new Context();

  let broken = false;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (broken) return; // each write that was under way fails
    broken = true;
    context.mute(); // the steps that are cut off now have not failed
    if (error.code !== "EPIPE") {
      process.stderr.write(`titan: Cannot write to stdout: ${error.message}\n`);
    }
    void context.cleanUp().then(() => process.exit(error.code === "EPIPE" ? EXIT.OK : EXIT.ERROR));
  });
  // Nobody is left to complain to.
  process.stderr.on("error", () => undefined);

  const exitCode = await run(context, process.argv.slice(2));
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((written) => stream.write("", () => written()));
  }
  // We do not wait for an empty event loop: a forgotten timer must not keep a script waiting.
  process.exit(exitCode);
}
