/**
 * The version of this program, which HELLO carries for people to read.
 *
 * It comes from package.json, two folders up both in the sources (`src/host`) and in the build
 * (`dist/host`).
 *
 * Test: test/cli.test.ts
 */
import { readFileSync } from "node:fs";

export const VERSION: string = readVersion();

function readVersion(): string {
  try {
    const { version } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { version?: string };
    return version ?? "unknown";
  } catch {
    return "unknown"; // a bundle without package.json still runs
  }
}
