/**
 * The store of a cluster: one of its own in a thread, or a server elsewhere. The master gets an
 * address and a way to ask, and sees no difference.
 *
 * Invariants: no password is printed; the master's own connection is opened when somebody first
 * asks through it.
 * Test: test/cli.store.test.ts
 */
import { createHmac } from "node:crypto";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { storeUrl } from "#wire";
import { dialable } from "#base";
import type { Host } from "#host";
import type { MasterStore } from "#master";
import type { Gateway } from "#store";
import { EmbeddedStore } from "./store-embedded.ts";
import type { StoreRecovered } from "./store-serve.ts";

/** A server elsewhere, or one of the cluster's own. */
export type StoreChoice = { readonly url: string } | OwnStore;

interface OwnStore {
  /** Default 0: any free one. */
  readonly port?: number;
  /** Nothing on disk. Default: in `store` of the state folder. */
  readonly memory?: boolean;
  /** Default: made from the cluster's token, else none. */
  readonly password?: string | undefined;
  /** A thread that loads already. */
  readonly thread?: Worker | undefined;
}

export interface StoreInfo {
  /** Without a password. */
  readonly url: string;
  /** Only for a store of our own. */
  readonly recovered: StoreRecovered | undefined;
}

export interface ClusterStore {
  readonly forMaster: MasterStore;
  /** Rejects when our own store cannot start. Does not wait for one elsewhere. */
  readonly ready: Promise<StoreInfo>;
  /** Asks our own store to end in order; leaves one elsewhere alone. */
  stop(): Promise<void>;
  kill(): void;
}

export interface ClusterStoreOptions {
  readonly host: Host;
  readonly stateDir: string;
  readonly listenHost: string;
  readonly token: string | undefined;
  /** Clients that a store of its own may have: as many as there are descriptors for them. */
  readonly maxClients: number;
  readonly onNote: (text: string) => void;
}

/** @throws {TypeError} for a text that is not a URL */
export async function openClusterStore(
  choice: StoreChoice,
  options: ClusterStoreOptions,
): Promise<ClusterStore> {
  if ("url" in choice) return outside(choice.url, options);
  const { host, stateDir, listenHost, token, maxClients, onNote } = options;
  const { port = 0, memory = false, password = tokenPassword(token), thread } = choice;
  const own = new EmbeddedStore({
    host,
    thread,
    listen: { host: listenHost, port },
    dir: memory ? undefined : join(stateDir, "store"),
    durability: "everysec",
    password,
    maxClients,
    onNote,
  });
  const gateway = lazyGateway(
    host,
    own.ready.then((at) => storeUrl({ host: dialable(at.host), port: at.port }, password)),
  );
  const url = own.ready.then((at) => storeUrl(at, password));
  const ready = own.ready.then((at) => ({ url: storeUrl(at), recovered: at.recovered }));
  // When the master cannot start either, nobody waits for these two.
  for (const promise of [url, ready]) promise.catch(() => undefined);
  return {
    forMaster: { url, call: gateway.call },
    ready,
    async stop() {
      // A caller of the gateway waits for the store to load, and that wait ends with the store.
      await Promise.all([own.stop(), gateway.close()]);
    },
    kill: () => own.kill(),
  };
}

async function outside(url: string, { host, onNote }: ClusterStoreOptions): Promise<ClusterStore> {
  const gateway = lazyGateway(host, Promise.resolve(url));
  const { parseStoreUrl } = await import("#store");
  const plain = storeUrl(parseStoreUrl(url).at);
  // It may come later. But a person who mistyped its address wants to know now.
  void gateway.call([Buffer.from("PING")]).then((answer) => {
    if (answer.toString("latin1", 0, 1) !== "-") return;
    const why = answer.toString("utf8", 1).trim();
    const reason = why.replace(/^[A-Z]+ Cannot call PING: /, "");
    onNote(`the store at ${plain} does not answer: ${reason}`);
  });
  return {
    forMaster: { url, call: gateway.call },
    ready: Promise.resolve({ url: plain, recovered: undefined }),
    stop: () => gateway.close(),
    kill: () => undefined,
  };
}

interface LazyGateway {
  call(args: readonly Buffer[]): Promise<Buffer>;
  close(): Promise<void>;
}

/** Opened on demand: most clusters are never asked for a key through their master. */
function lazyGateway(host: Host, url: Promise<string>): LazyGateway {
  let opened: Promise<Gateway> | undefined;
  url.catch(() => undefined);
  return {
    async call(args) {
      opened ??= import("#store").then(async ({ openGateway }) => {
        return openGateway({ host, url: await url });
      });
      return (await opened).call(args);
    },
    async close() {
      (await opened?.catch(() => undefined))?.close();
    },
  };
}

/** A client that may submit jobs may use the store, so that nobody needs a second secret. */
function tokenPassword(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  return createHmac("sha256", token).update("titan store").digest("hex");
}
