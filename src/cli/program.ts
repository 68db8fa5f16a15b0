/**
 * The program `titan`: all its commands.
 *
 * Test: test/cli.test.ts
 */
import type { Command } from "./command.ts";
import type { Context } from "./context.ts";
import { commandsOf, helpCommand, runCommandLine, version, type Program } from "./dispatch.ts";

/** In the order of completion. A command line needs one of them, and loads no other. */
const COMMANDS: Program["commands"] = new Map([
  ["up", async () => (await import("./commands/up.ts")).up],
  ["run", async () => (await import("./commands/run.ts")).run],
  ["validate", async () => (await import("./commands/validate.ts")).validate],
  ["graph", async () => (await import("./commands/graph.ts")).graph],
  ["runs", async () => (await import("./commands/runs.ts")).runs],
  ["status", async () => (await import("./commands/status.ts")).status],
  ["watch", async () => (await import("./commands/watch.ts")).watch],
  ["replay", async () => (await import("./commands/replay.ts")).replay],
  ["logs", async () => (await import("./commands/logs.ts")).logs],
  ["workers", async () => (await import("./commands/runs.ts")).workers],
  ["dead", async () => (await import("./commands/dead.ts")).dead],
  ["deploy", async () => (await import("./commands/deploy.ts")).deploy],
  ["services", async () => (await import("./commands/services.ts")).services],
  ["forward", async () => (await import("./commands/forward.ts")).forward],
  ["stop", async () => (await import("./commands/services.ts")).stop],
  ["restart", async () => (await import("./commands/services.ts")).restart],
  ["scale", async () => (await import("./commands/scale.ts")).scale],
  ["rollback", async () => (await import("./commands/scale.ts")).rollback],
  ["cancel", async () => (await import("./commands/control.ts")).cancel],
  ["retry", async () => (await import("./commands/control.ts")).retry],
  ["drain", async () => (await import("./commands/drain.ts")).drain],
  ["agents", async () => (await import("./commands/agents.ts")).agents],
  ["pools", async () => (await import("./commands/pools.ts")).pools],
  ["launch", async () => (await import("./commands/pools.ts")).launch],
  ["retire", async () => (await import("./commands/pools.ts")).retire],
  ["gates", async () => (await import("./commands/gates.ts")).gates],
  ["approve", async () => (await import("./commands/decide.ts")).approve],
  ["reject", async () => (await import("./commands/decide.ts")).reject],
  ["add", async () => (await import("./commands/add.ts")).add],
  ["step", async () => (await import("./commands/step.ts")).step],
  ["artifact", async () => (await import("./commands/artifact.ts")).artifact],
  ["kv", async () => (await import("./commands/kv.ts")).kv],
  ["mcp", async () => (await import("./commands/mcp.ts")).mcp],
  ["master", async () => (await import("./commands/master.ts")).master],
  ["worker", async () => (await import("./commands/worker.ts")).worker],
  ["store", async () => (await import("./commands/store.ts")).store],
  ["eventlog", async () => (await import("./commands/eventlog.ts")).eventlog],
  ["backup", async () => (await import("./commands/backup.ts")).backup],
  ["restore", async () => (await import("./commands/backup.ts")).restore],
  ["doctor", async () => (await import("./commands/doctor.ts")).doctor],
  ["completion", async () => (await import("./commands/completion.ts")).completion],
  ["__complete", async () => {
    const { completeCommand } = await import("./commands/completion.ts");
    return completeCommand(allCommands);
  }],
  ["version", async () => version],
  ["help", async () => helpCommand(() => TITAN)],
]);

const TITAN: Program = { commands: COMMANDS, whyMissing: () => undefined };

export function allCommands(): Promise<readonly Command[]> {
  return commandsOf(TITAN);
}

/** Runs one command line, reports an error, cleans up, and returns the exit code. */
export function runProgram(context: Context, argv: readonly string[]): Promise<number> {
  return runCommandLine(TITAN, context, argv);
}
