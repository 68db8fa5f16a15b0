/**
 * Lesson 10: checks of a program's arguments that no type checker has seen.
 *
 * A wrong argument is a mistake of the program, so it is a `TypeError`, before anything is sent.
 *
 * Test: test/sdk.test.ts
 */
import type { Address } from "#host";

/** A number of milliseconds; Infinity is one. */
export function checkMs(what: string, value: unknown): void {
  if (typeof value === "number" && value >= 0) return;
  throw new TypeError(`${what} must be a number of milliseconds from 0 on, found ${named(value)}`);
}

export function checkAddress(value: unknown): Address {
  const { host, port } = (value ?? {}) as { host?: unknown; port?: unknown };
  const isPort = Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65_535;
  if (typeof host === "string" && host !== "" && isPort) return value as Address;
  const expected = 'expected "host:port" or {host, port}';
  throw new TypeError(`Cannot use master: ${expected}, found ${named(value)}`);
}

/** A value as a message shows it. */
export function named(value: unknown): string {
  if (typeof value === "number" || value === null || value === undefined) return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
