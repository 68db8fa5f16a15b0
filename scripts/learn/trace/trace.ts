/**
 * `learn trace`: what happened, as lanes in the terminal, or as a picture.
 *
 *     learn trace 12/freeze                     a script of a lesson
 *     learn trace sim --seed 8                  a simulated life
 *     learn trace RUN                           a run of the master that is running (titan replay)
 *     … | learn trace -                         lines of any of these forms
 *     … --svg FILE                              an SVG file in place of the lanes
 *
 * Test: test/learn-trace.test.ts
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { BootstrapError, ensureBuilt, ROOT } from "../../bootstrap.mjs";
import { drawLanes } from "./lanes.ts";
import { storyOf } from "./story.ts";
import { drawSvg } from "./svg.ts";

const MAX_OUTPUT = 64 * 1024 * 1024;

export async function runTrace(args: readonly string[]): Promise<number> {
  const words = [...args];
  const at = words.indexOf("--svg");
  const [, file] = at < 0 ? [] : words.splice(at, 2);
  if (at >= 0 && file === undefined) throw new BootstrapError("Cannot trace: --svg wants a file");
  const [what, ...rest] = words;
  if (what === undefined) {
    throw new BootstrapError("Cannot trace: what? For example: npm run learn trace 12/freeze");
  }
  const story = storyOf((await textOf(what, rest)).split("\n"));
  if (story.steps.length === 0) {
    throw new BootstrapError(`Cannot trace ${what}: nothing in its output says when it happened`);
  }
  if (file === undefined) process.stdout.write(`${drawLanes(story).join("\n")}\n`);
  else {
    writeFileSync(file, drawSvg(story, `What happened in ${[what, ...rest].join(" ")}`));
    process.stdout.write(`${file}: ${story.steps.length} steps, ${story.lanes.length} lanes\n`);
  }
  return 0;
}

async function textOf(what: string, rest: readonly string[]): Promise<string> {
  if (what === "-") return readFileSync(0, "utf8");
  if (/^\d+(?:-\w+)?\/./.test(what)) return outputOf(["scripts/try.mjs", what, ...rest]);
  if (what === "sim") return outputOf(["scripts/launch.mjs", "sim", ...rest, "--trace"]);
  await ensureBuilt();
  return outputOf(["dist/cli/main.js", "replay", what, ...rest]);
}

function outputOf(args: readonly string[]): string {
  const { stdout, stderr, status, error } = spawnSync(process.execPath, args, {
    cwd: ROOT, encoding: "utf8", maxBuffer: MAX_OUTPUT,
  });
  // A life that breaks a promise ends with 1, and is what one wants to see.
  if (error === undefined && (status === 0 || stdout !== "")) return stdout;
  throw new BootstrapError(`Cannot trace: ${error?.message ?? (stderr.trim() || "no output")}`);
}
