/**
 * Lesson 24: SHA256SUMS, the list that `sha256sum -c` and `shasum -a 256 -c` read.
 *
 *     64 hexadecimal digits, two spaces, a path
 *
 * Test: test/24-packaging.test.ts
 */
import { createHash } from "node:crypto";

export const SUMS = "SHA256SUMS";

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function sumsText(sums: ReadonlyMap<string, string>): string {
  return [...sums].map(([path, sum]) => `${sum}  ${path}\n`).join("");
}

/** Path → sum; undefined if any line is no such line, or the last one is not whole. */
export function readSums(text: string): Map<string, string> | undefined {
  const sums = new Map<string, string>();
  if (!text.endsWith("\n")) return undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, sum, path] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (sum === undefined || path === undefined) return undefined;
    sums.set(path, sum);
  }
  return sums;
}
