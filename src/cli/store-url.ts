/**
 * Which store, from a flag or the environment: `redis://[[user]:password@]host[:port]`.
 *
 *     titan up:  --no-store ──▶ none            --store URL ──▶ that server
 *                --store-port P ──▶ our own     TITAN_STORE ──▶ that server     nothing ──▶ our own
 *
 * Invariants: no error repeats a text that people wrote here, for it may be a password.
 * Test: test/cli.store.test.ts
 */
import { storeUrl } from "#wire";
import type { StoreTarget } from "#store";
import { DEFAULT_MASTER } from "./address.ts";
import type { StoreChoice } from "#cluster";
import type { Call, Flag } from "./command.ts";
import { UsageError } from "./exit.ts";

/** The port of Redis with a 9 in front: both may run on one machine. */
export const DEFAULT_STORE_PORT = 9379;

export const STORE_FLAG: Readonly<Record<string, Flag>> = {
  store: {
    type: "string",
    value: "URL",
    summary: "a store that runs elsewhere: redis://HOST:PORT (default TITAN_STORE)",
  },
};

/** @param source where the text came from: `--store`, `TITAN_STORE` */
export async function readStoreUrl(text: string, source: string): Promise<StoreTarget> {
  const { parseStoreUrl } = await import("#store");
  try {
    return parseStoreUrl(text);
  } catch (error) {
    // "redis://ada:12/34@host" has a user as host and half of a password as database.
    const why = (error as Error).message
      .replace(/^[^:]*: /, "")
      .replace(/^the database is .*; there/, "it names a database; there");
    throw new UsageError(`Cannot use ${source}: ${why}`);
  }
}

/** The store that the flags of `titan up` and `titan master` and the environment ask for. */
export async function storeOf(
  call: Call,
  own: { readonly masterPort: number } | undefined,
): Promise<StoreChoice | undefined> {
  const given = ["store", "store-port", "no-store"].filter((flag) => call.on(flag));
  if (given.length > 1) {
    throw new UsageError(
      `Cannot run titan ${call.command.name} with --${given[0]} and --${given[1]}: ` +
        "they ask for different stores",
    );
  }
  if (call.on("no-store")) return undefined;
  const port = call.count("store-port", { min: 0, max: 65_535 });
  const url = port === undefined ? await outsideStore(call) : undefined;
  if (url !== undefined) return { url };
  if (own === undefined) return undefined;
  const usual = own.masterPort === DEFAULT_MASTER.port ? DEFAULT_STORE_PORT : 0;
  return { port: port ?? usual, password: call.context.setting("TITAN_STORE_PASSWORD") };
}

/**
 * The store of `--store` or TITAN_STORE. Everybody can read a flag, so its password may come from
 * TITAN_STORE_PASSWORD.
 */
export async function outsideStore(call: Call): Promise<string | undefined> {
  const flag = call.text("store");
  const text = flag ?? call.context.setting("TITAN_STORE");
  if (text === undefined) return undefined;
  const source = flag === undefined ? "TITAN_STORE" : "--store";
  const { at, username, password } = await readStoreUrl(text, source);
  if (flag === undefined || username !== undefined || password !== undefined) return text;
  const apart = call.context.setting("TITAN_STORE_PASSWORD");
  return apart === undefined ? text : storeUrl(at, apart);
}

/** Lets the thread of our own store begin to load, once it is clear that there will be one. */
export async function preloaded(choice: StoreChoice | undefined): Promise<StoreChoice | undefined> {
  if (choice === undefined || "url" in choice) return choice;
  return { ...choice, thread: (await import("#cluster")).newStoreThread() };
}
