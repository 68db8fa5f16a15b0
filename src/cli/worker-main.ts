#!/usr/bin/env node
/**
 * The program of the worker's bundle: `titan` with the commands that a machine of workers needs.
 * The bundle holds what this file reaches, so every import here has its price.
 *
 * Test: test/24-packaging.bundles.test.ts
 */
import type { Program } from "./dispatch.ts";

// All other imports come after this one: an older Node would fail in them, with a stack trace.
import "./node-version.ts";

const { start } = await import("./start.ts");
const { helpCommand, runCommandLine, version } = await import("./dispatch.ts");

const PROGRAM: Program = {
  commands: new Map([
    ["worker", async () => (await import("./commands/worker.ts")).worker],
    ["version", async () => version],
    ["help", async () => helpCommand(() => PROGRAM)],
  ]),
  whyMissing: () => "it is not in the worker's bundle; the master's has all commands",
};

await start((context, argv) => runCommandLine(PROGRAM, context, argv));
