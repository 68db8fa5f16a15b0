/**
 * Whether the reader's modules type-check. Tests run without their types, so a type error shows
 * late, in other words, or never. It fails no test: it is a note behind the result.
 *
 *     Note: own/log/record.ts does not type-check: line 60: Cannot find name 'bodi'.
 *
 * Test: test/learn-failure.test.ts
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import type { OwnPart } from "./own.ts";

/** Says where the compiler's program is. Started by way of Node, it would outlive its end. */
const FINDER = "node_modules/typescript/lib/getExePath.js";
/** The compiler runs beside the tests, and takes one second. A note is worth no longer wait. */
const MOST_MS = 2000;
const ERROR = /^(own\/[^(\n]+)\((\d+),\d+\): error TS\d+: (.*)$/gm;
const WIDTH = /(.{1,100})(?: |$)/g;

export interface TypeCheck {
  /** A line, or nothing: when all is well, and when the compiler has nothing to say in time. */
  note(mostMs?: number): Promise<string>;
}

/** Begins at once, and ends by itself. */
export function checkTypes(root: string, parts: readonly OwnPart[]): TypeCheck | undefined {
  const finder = join(root, FINDER);
  if (parts.length === 0 || !existsSync(finder)) return undefined;
  const end = new AbortController();
  const output = compile(root, finder, end.signal).catch(() => ""); // no compiler, no note
  return {
    async note(mostMs = MOST_MS) {
      const timer = setTimeout(() => end.abort(), mostMs);
      const found = await output;
      clearTimeout(timer);
      return tellTypes(found, parts);
    },
  };
}

async function compile(root: string, finder: string, signal: AbortSignal): Promise<string> {
  const { default: find } = (await import(pathToFileURL(finder).href)) as { default(): string };
  const child = spawn(find(), ["--noEmit", "--pretty", "false", "-p", "own"], {
    cwd: root, stdio: ["ignore", "pipe", "ignore"], signal, killSignal: "SIGKILL",
  });
  child.on("error", () => {}); // ended by us, or never begun
  return await text(child.stdout);
}

/** The first thing that a compiler has said about these parts. */
export function tellTypes(output: string, parts: readonly OwnPart[]): string {
  const mine = new Set(parts.flatMap(({ files }) => files.map(({ to }) => to)));
  const errors = [...output.matchAll(ERROR)].filter(([, file = ""]) => mine.has(file));
  const [first] = errors;
  if (first === undefined) return "";
  const [, file, line, why = ""] = first;
  const more = errors.length > 1 ? ` (${errors.length - 1} more)` : "";
  const note = `Note: ${file} does not type-check: line ${line}: ${why}${more}`;
  return `\n${note.replace(WIDTH, "$1\n")}`;
}
