// @ts-check
/** Starting a child that takes over the terminal, with its exit code (or signal) handed on. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { ROOT } from "../bootstrap.mjs";

/** What runs TypeScript from `src/`: the "source" condition picks `src/x/mod.ts` for "#x", tsx strips the types. */
export const SOURCE_FLAGS = ["--conditions=source", "--import", "tsx"];

/**
 * Runs node with these arguments on our terminal.
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdio?: "inherit" | "ignore" }} [options]
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it, as a shell says it
 */
export function runNode(args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: options.cwd ?? ROOT, env: options.env ?? process.env, stdio: options.stdio ?? "inherit" });
    // Ctrl-C reaches the whole foreground group: the child decides what it means, and we stay to report its exit.
    const stay = () => {};
    const forward = () => child.kill("SIGTERM");
    process.on("SIGINT", stay);
    process.on("SIGTERM", forward);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      process.off("SIGINT", stay);
      process.off("SIGTERM", forward);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
