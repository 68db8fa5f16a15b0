// @ts-check
/** Starting a child that takes over the terminal, with its exit code (or signal) handed on. */
import { constants } from "node:os";
import { ROOT } from "../bootstrap.mjs";
import { startMember } from "./family.mjs";

/**
 * Flags that run TypeScript from `src/`: the "source" condition picks `src/x/mod.ts` for "#x", tsx
 * strips the types.
 */
export const SOURCE_FLAGS = ["--conditions=source", "--import", "tsx"];

/**
 * Runs node with these arguments on our terminal. The child ends when we do, and when nobody
 * reads its output.
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdio?: "inherit" | "ignore" }} [options]
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it, as a shell says it
 */
export function runNode(args, options = {}) {
  return new Promise((resolve, reject) => {
    const { cwd = ROOT, env = process.env, stdio = "inherit" } = options;
    const child = startMember(args, { cwd, env, stdio });
    // Ctrl-C reaches the whole foreground group: the child decides what it means, and we stay to
    // report its exit.
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
