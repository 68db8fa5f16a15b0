/**
 * Whether the reader's modules can be loaded at all. A file with a typing error fails as a file,
 * with a page of the compiler's frames; this says it in a sentence, with the line.
 *
 * Test: test/learn-companion.test.ts
 */
import { spawnSync } from "node:child_process";
import { ROOT } from "../bootstrap.mjs";
import type { OwnPart } from "./own.ts";

/** More is a loop at the top of a module. */
const LOAD_MS = 20_000;

/** Imports the names that it is given; what it prints is the first that cannot be loaded. */
const LOADS = `for (const name of JSON.parse(process.argv[1])) {
  try { await import("#" + name); } catch (error) {
    process.stdout.write(JSON.stringify([name, String(error?.message ?? error)]));
    process.exit(1);
  }
}`;

/** Undefined when they can. `env`: the one in which the names mean the reader's files. */
export function whyNotLoaded(
  parts: readonly OwnPart[], env: NodeJS.ProcessEnv,
): string | undefined {
  const names = JSON.stringify(parts.map(({ name }) => name));
  const { stdout, status, stderr } = spawnSync(
    process.execPath, ["--input-type=module", "--eval", LOADS, names],
    { cwd: ROOT, env, encoding: "utf8", timeout: LOAD_MS },
  );
  if (status === 0) return undefined;
  const [name, why] = (stdout === "" ? ["", stderr || "it does not come to an end"]
    : JSON.parse(stdout)) as [string, string];
  const part = parts.find((each) => each.name === name) ?? parts[0]!;
  return `Cannot load ${part.ownFolder ?? part.entry}: ${sentence(why)}`;
}

/** "Transform failed with 1 error:\n/…/own/a.ts:3:0: ERROR: Unexpected end of file" */
function sentence(why: string): string {
  const text = why.trim().replace(/^Transform failed with \d+ errors?:\n/, "");
  return text.replaceAll(`${ROOT}/`, "").replace(": ERROR: ", ": ");
}
