/**
 * Why a store does not start, or has ended: as a sentence, with advice.
 *
 * Test: test/cli.store.test.ts
 */
import type { Address } from "#host";

/** An error as it arrives from another thread: without its class. */
export interface StoreFailure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export interface StoreLocation {
  readonly listen: Address;
  readonly dir?: string | undefined;
}

export function storeFailure(error: Error): StoreFailure {
  const { code = "" } = error as { code?: string };
  return { name: error.name, code, message: error.message };
}

export function storeFailureText(
  { name, code, message }: StoreFailure,
  { listen, dir }: StoreLocation,
): string {
  if (code === "EADDRINUSE") {
    return `port ${listen.port} of ${listen.host} is in use by another program`;
  }
  if (code === "EADDRNOTAVAIL") return `${listen.host} is no address of this machine`;
  if (code === "ELOCKED") {
    return `${/process \d+/.exec(message)?.[0] ?? "another process"} uses ${dir}`;
  }
  if (code === "ERR_WORKER_OUT_OF_MEMORY") return "its memory was full";
  if (name !== "LogError") return message;
  return message.replace(/^Cannot open log: /, "its log is damaged: ");
}

/** `why`: the system's words for a full disk; undefined: it has room again. */
export function fullText(why: string | undefined): string {
  if (why === undefined) return "the store's disk has room again: writes are taken";
  return `the store refuses writes until there is room: ${why}`;
}

/** Undefined: nothing but the text itself helps. */
export function storeFailureAdvice(
  { name, code }: StoreFailure,
  { dir }: StoreLocation,
): string | undefined {
  if (code === "ELOCKED") return "stop what uses it, such as a titan store or a titan up";
  if (name !== "LogError" || dir === undefined) return undefined;
  return (
    `titan eventlog verify ${dir} lists every problem, ` +
    `titan eventlog repair ${dir} --dry-run says what a repair would do`
  );
}
