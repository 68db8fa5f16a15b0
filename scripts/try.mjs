#!/usr/bin/env node
// @ts-check
/**
 * `npm run -s try 05/torn-tail [args]`: runs `lessons/05-…/try/torn-tail.ts` from the sources.
 * Without a name: what there is.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { BootstrapError, ROOT, ensureDeps, runMain } from "./bootstrap.mjs";
import { listChapters, suggest } from "./lib/chapters.mjs";
import { runNode } from "./lib/child.mjs";
import { isCompiled, programArguments, programFile, SHORT_LIVED } from "./lib/compiled.mjs";
import { setMark } from "./lib/notes.mjs";

await runMain(async () => {
  const [asked, ...args] = process.argv.slice(2);
  const programs = listPrograms();
  const listing = [...programs.keys()].map((name) => `  npm run -s try ${name}`).join("\n");
  if (asked === undefined) {
    process.stdout.write(`${listing}\n`);
    return 0;
  }
  const file = programs.get(normalise(asked));
  if (!file) {
    const near = suggest(normalise(asked), [...programs.keys()]);
    // A lesson's number alone asks for that lesson's programs.
    const lesson = listing.split("\n")
      .filter((line) => line.includes(` ${normalise(asked).slice(0, 3)}`));
    const hint = near ? ` (did you mean ${near}?)` : "";
    const shown = lesson.length > 0 ? lesson.join("\n") : listing;
    throw new BootstrapError(
      `Cannot try ${JSON.stringify(asked)}: no such program${hint}\n${shown}`,
    );
  }
  await ensureDeps();
  if (isCompiled(ROOT)) return runHere(programFile(ROOT, file), args);
  setMark(ROOT, file.split("/")[1] ?? "", "tried");
  return runNode([...programArguments(ROOT, file), ...args]);
});

/**
 * JavaScript needs no loader, and so no process of its own: the lessons start eighty programs.
 * @param {string} file
 * @param {readonly string[]} args
 */
async function runHere(file, args) {
  process.argv = [process.execPath, file, ...args];
  await import("./lib/stacks.mjs");
  for (const flag of SHORT_LIVED) setFlagsFromString(flag);
  await import(pathToFileURL(file).href);
  return Number(process.exitCode ?? 0);
}

/** @returns {Map<string, string>} "05/torn-tail" to its file, relative to the root */
function listPrograms() {
  const programs = new Map();
  for (const { id } of listChapters()) {
    const folder = join(ROOT, "lessons", id, "try");
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder).sort()) {
      if (file.endsWith(".ts")) {
        programs.set(`${id.slice(0, 2)}/${file.slice(0, -3)}`, `lessons/${id}/try/${file}`);
      }
    }
  }
  return programs;
}

/** Accepts 5/x, 05/x, 05-log/x and x.ts. @param {string} asked */
function normalise(asked) {
  const [chapter = "", name = ""] = asked.split("/");
  return `${chapter.split("-")[0]?.padStart(2, "0")}/${name.replace(/\.ts$/, "")}`;
}
