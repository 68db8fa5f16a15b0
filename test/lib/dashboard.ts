/**
 * A cluster with its dashboard, and a browser before it: for tests that look at pages.
 *
 *     const scene = await openDashboard({ workers: 2 });        in this process, with real workers
 *     const page = await scene.browser.open(scene.url);
 *     await scene.titan.run({ name: "x", jobs: [{ id: "a", run: "echo hi" }] });
 *     await scene.close();
 *
 * The page is the built one (dist/), so the project is built first.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedCluster, type EmbeddedCluster } from "#cluster";
import { nodeHost } from "#host";
import { HttpDoor } from "#http";
import type { PoolDefinition } from "#pipeline";
import { definePool } from "#scaling";
import { connect, type Client } from "#sdk";
import { ensureBuilt } from "../../scripts/bootstrap.mjs";
import { removeTreeSync } from "../../scripts/lib/remove-tree.mjs";
import { eventually, ownPort } from "../processes.support.ts";
import { startBrowser, type Browser } from "./browser.ts";

await ensureBuilt();

export interface Scene {
  readonly cluster: EmbeddedCluster;
  readonly titan: Client;
  readonly door: HttpDoor;
  readonly browser: Browser;
  /** Without a slash at its end. */
  readonly url: string;
  /** The master and its port end, and come again where they were, after `between`. */
  restart(between?: () => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

export interface SceneOptions {
  readonly workers?: number;
  readonly slots?: number;
  readonly token?: string;
  /** With a store, in memory. */
  readonly store?: boolean;
  /** A pool of this name, whose workers are processes; a person starts them. */
  readonly pool?: string;
}

interface Parts {
  readonly cluster: EmbeddedCluster;
  readonly door: HttpDoor;
  readonly titan: Client;
}

async function end(
  { cluster, door, titan }: Omit<Parts, "titan"> & { titan: Client | undefined },
): Promise<void> {
  titan?.close();
  await door.close();
  await cluster.stop();
}

interface Ports {
  readonly master: number;
  readonly http: number;
}

function poolOf(name: string): PoolDefinition {
  // Far from the times of a test: nobody but a person starts or ends one.
  const quiet = { max: 2, upAfterMs: 600_000, idleMs: 600_000 };
  return { ...definePool({ name, ...quiet }), driver: { type: "process" } };
}

export async function openDashboard(
  { workers = 1, slots = 2, token, store = false, pool }: SceneOptions = {},
): Promise<Scene> {
  // Before: the path of its socket may have a hundred characters only.
  const starting = startBrowser();
  const outer = process.env["TMPDIR"];
  const temporary = mkdtempSync(join(tmpdir(), "titan-dashboard-"));
  // Workers make the shared folders of runs there: what remains of them goes with the rest.
  process.env["TMPDIR"] = temporary;
  const state = join(temporary, "state");
  const begin = async (ports: Ports): Promise<Parts> => {
    const cluster = await startEmbeddedCluster({
      workers, slots, port: ports.master, listenHost: "127.0.0.1", stateDir: state,
      ...(token !== undefined && { token }), ...(store && { store: { memory: true } }),
      ...(pool !== undefined && { pools: { cwd: temporary, pools: [poolOf(pool)] } }),
      onNote: () => undefined, onFatal: (error) => assert.fail(error),
    });
    const { master } = cluster;
    const listen = { host: "127.0.0.1", port: ports.http };
    const door = new HttpDoor({ host: nodeHost(), master, token, version: "1.2.3", listen });
    let titan: Client | undefined;
    try {
      await door.open();
      titan = await connect({ master, token });
      const client = titan;
      await eventually("the workers", async () => (await client.workers()).length >= workers);
      return { cluster, door, titan };
    } catch (error) {
      await end({ cluster, door, titan });
      throw error;
    }
  };
  const ports = { master: await ownPort(), http: await ownPort() };
  const [begun, opened] = await Promise.allSettled([begin(ports), starting]);
  // One without the other would keep this process from ending.
  if (begun.status === "rejected") {
    if (opened.status === "fulfilled") await opened.value.close();
    throw begun.reason;
  }
  let parts = begun.value;
  if (opened.status === "rejected") {
    await end(parts);
    throw opened.reason;
  }
  const browser = opened.value;
  const { url } = parts.door;
  return {
    browser, url,
    get cluster() { return parts.cluster; },
    get titan() { return parts.titan; },
    get door() { return parts.door; },
    async restart(between) {
      await end(parts);
      await between?.();
      parts = await begin(ports);
    },
    async close() {
      await browser.close();
      await end(parts);
      if (outer === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = outer;
      removeTreeSync(temporary);
    },
  };
}
