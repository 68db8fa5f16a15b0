/**
 * A store that serves: it opens the log and listens. `titan store` runs it in its own process,
 * `titan up` in a thread (store-thread.ts).
 *
 *     open (lock, replay) ─▶ listen ─▶ … ─▶ close: answers leave ─▶ log flushed, folder free
 *
 * Test: test/cli.store.test.ts
 */
import type { Address, Host } from "#host";
import type { OpenStore, OpenStoreOptions } from "#store";

/**
 * A stop waits this long for clients that do not take their answers. It is less than `titan up`
 * gives to the whole stop.
 */
const CLIENTS_MS = 2000;

export interface ServeStoreOptions {
  readonly listen: Address;
  /** Default: in memory only. */
  readonly dir?: string | undefined;
  readonly durability?: "always" | "everysec" | "no" | undefined;
  /** As people wrote it; on the wire it is UTF-8. */
  readonly password?: string | undefined;
  readonly replicaOf?: Address | undefined;
  readonly primaryPassword?: string | undefined;
  /** Clients at a time. Default: the store's own. */
  readonly maxClients?: number | undefined;
  /** The owner, for messages; default: none. */
  readonly owner?: string | undefined;
  /** Bytes of data; default: as much as the heap takes. */
  readonly maxMemory?: number | undefined;
}

/** The data that was there at the start. */
export interface StoreRecovered {
  readonly keys: number;
  readonly records: number;
  readonly tornBytes: number;
  /** Damage that did not keep it from opening. */
  readonly ignored: readonly string[];
}

export interface ServedStore extends Address {
  readonly recovered: StoreRecovered;
  close(): Promise<void>;
}

/** @throws the errors of `openStore` and `startStore`; nothing is left open then */
export async function serveStore(
  options: ServeStoreOptions & Pick<OpenStoreOptions, "onFull" | "onLinkError" | "signal"> & {
    readonly host: Host;
    readonly onFatal: (error: Error) => void;
  },
): Promise<ServedStore> {
  const { host, listen, dir, durability, maxClients, maxMemory, owner, signal } = options;
  const { password, primaryPassword, replicaOf, onFatal, onFull, onLinkError } = options;
  // Only now: a cluster has its store in a thread, and the process itself needs none of it.
  const { openStore, startStore } = await import("#store");
  const opened = await openStore({
    host,
    onFatal,
    memory: { maxMemory },
    ...(owner !== undefined && { owner }),
    ...(onFull !== undefined && { onFull }),
    ...(dir !== undefined && { dir }),
    ...(signal !== undefined && { signal }),
    ...(onLinkError !== undefined && { onLinkError }),
    ...(durability !== undefined && { durability }),
    ...(password !== undefined && { requirepass: wireText(password) }),
    ...(replicaOf !== undefined && { replicaOf }),
    ...(primaryPassword !== undefined && { primaryPassword: wireText(primaryPassword) }),
  });
  try {
    const { store } = opened;
    store.info.set("Memory", memory);
    const server = await startStore({
      host,
      listen,
      store,
      ...(maxClients !== undefined && { maxClients }),
      ...(dir !== undefined && {
        afterCommit: () => opened.afterCommit(),
        caughtUp: () => opened.caughtUp(),
        whenFull: (listener) => opened.whenFull(listener),
      }),
    });
    let closed: Promise<void> | undefined;
    return {
      host: server.host,
      port: server.port,
      recovered: recoveredOf(opened),
      close: () => (closed ??= closeAll(server, opened)),
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function recoveredOf({ store, recovery }: OpenStore): StoreRecovered {
  return {
    keys: store.keys.size,
    records: recovery?.records ?? 0,
    tornBytes: recovery?.tornBytes ?? 0,
    ignored: recovery?.ignored ?? [],
  };
}

async function closeAll(server: { close(): Promise<void> }, opened: OpenStore): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((over) => {
    timer = setTimeout(over, CLIENTS_MS);
  });
  await Promise.race([server.close(), late]);
  clearTimeout(timer);
  await opened.close();
}

/**
 * Linux has the numbers in a file. It cannot be opened when the process has no descriptor left, and
 * that is no reason to end.
 */
function memory(): Record<string, number> {
  try {
    const { heapUsed, rss } = process.memoryUsage();
    return { used_memory_heap: heapUsed, used_memory_rss: rss };
  } catch {
    return {};
  }
}

/** The store compares bytes, one per character. */
function wireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
