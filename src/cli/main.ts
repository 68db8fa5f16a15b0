#!/usr/bin/env node
/**
 * The program: `titan`, `dist/cli/main.js`, or from the sources `node --import tsx -C source src/cli/main.ts`.
 *
 * Invariants: what was written has arrived before the process ends; a reader that goes away (`titan logs … | head`)
 * ends it quietly, and everything that it had started with it.
 * Test: test/cli.test.ts
 */
import { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { runProgram } from "./program.ts";

const context = new Context();

let broken = false;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (broken) return; // each write that was under way fails
  broken = true;
  context.mute(); // what ends now has not failed
  if (error.code !== "EPIPE") process.stderr.write(`titan: Cannot write to stdout: ${error.message}\n`);
  void context.cleanUp().then(() => process.exit(error.code === "EPIPE" ? EXIT.OK : EXIT.ERROR));
});
// Nobody left to complain to.
process.stderr.on("error", () => undefined);

const exitCode = await runProgram(context, process.argv.slice(2));
for (const stream of [process.stdout, process.stderr]) await new Promise<void>((written) => stream.write("", () => written()));
// Not left to an empty event loop: a forgotten timer must not keep a script waiting.
process.exit(exitCode);
