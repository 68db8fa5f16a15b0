/**
 * `titan store dump`: the content of a store's folder, in the language of Redis.
 *
 * Invariants: the file of --out is whole or not there.
 * Test: test/cli.store.test.ts
 */
import {
  closeSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { dumpResp } from "#store";
import type { Call } from "./command.ts";
import { CliError, EXIT } from "./exit.ts";
import { bytesText } from "./text.ts";

export async function dump(call: Call, dir: string): Promise<number> {
  const { context } = call;
  const { host } = context;
  if ((await host.storage.stat(join(dir, "log"))) === undefined) {
    throw new CliError(EXIT.ERROR, `Cannot dump ${dir}: no store has its log there`, {
      advice:
        "--state DIR names another folder; a titan up has it in store of its state folder",
    });
  }
  await hold(call, dir);
  const file = call.text("out");
  const chunks = dumpResp({ host, dir });
  if (file === undefined) {
    for await (const chunk of chunks) await context.pour("stdout", chunk);
    return EXIT.OK;
  }
  const bytes = await toFile(file, chunks).catch((error: unknown) => {
    throw explained(error, file);
  });
  if (call.json) context.json({ file, bytes, state: dir });
  else {
    context.note(
      `titan: ${bytesText(bytes)} in ${file}; ` +
        `an empty Redis takes them with: redis-cli --pipe < ${file}`,
    );
  }
  return EXIT.OK;
}

/**
 * Takes the lock, so that no store starts there meanwhile. A store that runs is no reason to
 * refuse: a dump is the only way to see what it holds.
 */
async function hold({ context }: Call, dir: string): Promise<void> {
  try {
    const lock = await context.host.storage.lock(join(dir, "lock"));
    context.onExit(() => lock.release());
  } catch (error) {
    // Another reason, such as a folder that may only be read, does not matter: we only read.
    if ((error as { code?: string }).code === "ELOCKED") {
      context.note(`titan: ${dir} is in use: what is written there from now on is missing`);
    }
  }
}

/** Writes beside the file first: half a dump would look like a whole one of a smaller store. */
async function toFile(file: string, chunks: AsyncIterable<Buffer>): Promise<number> {
  const there = statSync(file, { throwIfNoEntry: false });
  // A pipe or a device (/dev/stdout) is written to: a rename would put a file in its place.
  if (there !== undefined && !there.isFile()) return writeTo(file, chunks);
  const target = there === undefined ? file : realpathSync(file); // a link stays a link
  const part = `${target}.${process.pid}.part`;
  try {
    const bytes = await writeTo(part, chunks);
    renameSync(part, target);
    return bytes;
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}

async function writeTo(path: string, chunks: AsyncIterable<Buffer>): Promise<number> {
  const open = openSync(path, "w", 0o600); // it may hold secrets, as the store may
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) at += writeSync(open, chunk, at);
      bytes += chunk.length;
    }
  } finally {
    closeSync(open);
  }
  return bytes;
}

/** Names the file that was asked for in a failure of the system, which names our temporary one. */
function explained(error: unknown, file: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || error.name !== "Error") return error;
  if (!/^E[A-Z0-9]+$/.test(code ?? "")) return error;
  const why = message.replace(/, \w+(?: '.*)?$/s, "");
  return new CliError(EXIT.ERROR, `Cannot write the dump to ${file}: ${why}`, { cause: error });
}
