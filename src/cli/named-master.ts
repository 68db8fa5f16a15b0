/**
 * The master that was named, and its token: what a command knows before it dials.
 *
 * Test: test/cli.test.ts
 */
import { readFileSync } from "node:fs";
import { fileReason, type Address } from "#host";
import { DEFAULT_PORT, readAddress } from "#wire";
import type { Call } from "./command.ts";
import { UsageError } from "./exit.ts";

const LOOPBACK = "127.0.0.1";

/** `host:port`, `[::1]:9090`, `host`, `:9090` or `9090`. */
export function parseAddress(text: string, source: string): Address {
  const address = readAddress(text);
  if (typeof address !== "string") return address;
  throw new UsageError(`Cannot use ${source} "${text}": ${address}`);
}

/** The master that was named, and by what; undefined when none was. */
export function namedMaster(call: Call): Address | undefined {
  const flag = call.text("master");
  if (flag !== undefined) return parseAddress(flag, "--master");
  const variable = call.context.setting("TITAN_MASTER");
  return variable === undefined ? undefined : parseAddress(variable, "TITAN_MASTER");
}

export const DEFAULT_MASTER: Address = { host: LOOPBACK, port: DEFAULT_PORT };

export function tokenOf(call: Call): string | undefined {
  const token = call.text("token") ?? call.context.setting("TITAN_TOKEN") ?? tokenInFile(call);
  // A blank token is a mistake: the variable that should be in its place is not set.
  if (token?.trim() === "") {
    throw new UsageError(`Cannot run titan ${call.command.name}: the token is blank`);
  }
  return token;
}

/** A pool's programs are told where the token is, and not the token (lesson 13). */
function tokenInFile({ context }: Call): string | undefined {
  const file = context.setting("TITAN_TOKEN_FILE");
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`Cannot read the token in ${file}: ${fileReason(error)}`);
  }
}
