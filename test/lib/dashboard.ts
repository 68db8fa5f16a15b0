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
import { connect, type Client } from "#sdk";
import { removeTreeSync } from "../../scripts/lib/remove-tree.mjs";
import { startBrowser, type Browser } from "./browser.ts";

const PATIENCE_MS = 30_000;

export interface Scene {
  readonly cluster: EmbeddedCluster;
  readonly titan: Client;
  readonly door: HttpDoor;
  readonly browser: Browser;
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

export interface SceneOptions {
  readonly workers?: number;
  readonly slots?: number;
  readonly token?: string;
  readonly state?: string;
}

const newFolder = (): string => mkdtempSync(join(tmpdir(), "titan-dashboard-"));

export async function openDashboard(
  { workers = 1, slots = 2, token, state = newFolder() }: SceneOptions = {},
): Promise<Scene> {
  const starting = startBrowser();
  const cluster = await startEmbeddedCluster({
    workers, slots, port: 0, listenHost: "127.0.0.1", stateDir: state,
    ...(token !== undefined && { token }),
    onNote: () => undefined, onFatal: (error) => assert.fail(error),
  });
  const { master } = cluster;
  const listen = { host: "127.0.0.1", port: 0 };
  const door = new HttpDoor({ host: nodeHost(), master, token, version: "1.2.3", listen });
  await door.open();
  const titan = await connect({ master, token });
  await eventually(async () => (await titan.workers()).length === workers);
  const browser = await starting;
  const close = async (): Promise<void> => {
    await browser.close();
    titan.close();
    await door.close();
    await cluster.stop();
    removeTreeSync(state);
  };
  return { cluster, titan, door, browser, url: door.url, close };
}

/**
 * Until it is so. (Not that of the other tests, which count sockets afterwards: a browser keeps
 * connections as it likes.)
 */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (!(await look())) {
    assert.ok(performance.now() < until, `waited ${PATIENCE_MS / 1000} s for ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
