#!/usr/bin/env node
/**
 * The program: `titan`, `dist/cli/main.js`, or from the sources
 * `node --import tsx -C source src/cli/main.ts`.
 *
 * Test: test/cli.test.ts
 */

// All other imports come after this one: an older Node would fail in them, with a stack trace.
import "./node-version.ts";

const [{ start }, { runProgram }] = await Promise.all([
  import("./start.ts"),
  import("./program.ts"),
]);
await start(runProgram);
