/**
 * Lesson 11: names for files, made of ids that come from outside.
 *
 * Invariant: ids become one path component each, whatever characters they hold, and no two
 * ids the same.
 * Test: test/11-worker.exec.test.ts
 */
import { createHash } from "node:crypto";

/** File systems allow 255 bytes; a longer id is named by its hash. */
const MAX_NAME_BYTES = 200;

/** One path component that stands for any text, and no two texts for the same. */
export function safeName(text: string): string {
  const name = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(text)
    ? text
    : `%${encodeURIComponent(Buffer.from(text).toString())
        .replace(/[.*'()!~]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`;
  if (name.length <= MAX_NAME_BYTES) return name;
  return `%${createHash("sha256").update(text).digest("hex")}`;
}

/**
 * The text that a name stands for; undefined for one that safeName did not make, or that does not
 * show its text.
 */
export function textOfName(name: string): string | undefined {
  try {
    const text = name.startsWith("%") ? decodeURIComponent(name.slice(1)) : name;
    return safeName(text) === name ? text : undefined;
  } catch {
    return undefined;
  }
}
