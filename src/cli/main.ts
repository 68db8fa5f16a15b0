#!/usr/bin/env node
/**
 * The program: `titan`, `dist/cli/main.js`, or from the sources
 * `node --import tsx -C source src/cli/main.ts`.
 *
 * Invariants: all output has arrived before the process ends; when its reader goes away
 * (`titan logs … | head`), the process ends quietly, and everything that it had started with it.
 * Test: test/cli.test.ts
 */

/** package.json, "engines". */
const OLDEST_NODE = { major: 20, minor: 15 };

// All other imports come after this check: an older Node would fail in them, with a stack trace.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const { major: oldest, minor: atLeast } = OLDEST_NODE;
if (major < oldest || (major === oldest && minor < atLeast)) {
  const needed = `Titan needs Node ${oldest}.${atLeast} or newer`;
  process.stderr.write(`titan: Cannot start: ${needed}, this is ${process.version}\n`);
  process.exit(1);
}
const { Context } = await import("./context.ts");
const { EXIT } = await import("./exit.ts");
const { runProgram } = await import("./program.ts");

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

const exitCode = await runProgram(context, process.argv.slice(2));
for (const stream of [process.stdout, process.stderr]) {
  await new Promise<void>((written) => stream.write("", () => written()));
}
// We do not wait for an empty event loop: a forgotten timer must not keep a script waiting.
process.exit(exitCode);
