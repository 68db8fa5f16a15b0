/**
 * Lesson 15: where a job finds its cluster, as this worker sees it.
 *
 * A store that listens on all addresses of its machine names an address that nobody can dial. The
 * store runs on the master's machine, and this worker knows how to reach the master.
 *
 * Test: test/15-store.cluster.test.ts
 */
import { hostPort, isLoopback } from "#base";
import type { ClusterEndpoints } from "#exec";
import type { Address } from "#host";

/**
 * The endpoints that jobs get: the master's, and from the welcome the URL of the store and the
 * cluster's id, if there are any.
 */
export function clusterEndpoints(
  master: Address,
  told: { store?: string | undefined; cluster?: string | undefined } = {},
): ClusterEndpoints {
  const { store, cluster } = told;
  const host = master.host.includes(":") ? `[${master.host}]` : master.host;
  const endpoints = {
    master: hostPort(master),
    store: store === undefined ? undefined : reachable(store, host),
  };
  return cluster === undefined ? endpoints : { ...endpoints, id: cluster };
}

/**
 * A line for the worker's log if the store's address is loopback and the master is on another
 * machine: for our jobs loopback is this machine.
 */
export function misplacedStore(master: Address, store: string | undefined): string | undefined {
  if (store === undefined || !URL.canParse(store)) return undefined;
  const { host, hostname } = new URL(store);
  if (!isLoopback(hostname) || isLoopback(master.host)) return undefined;
  return (
    `jobs here look for the cluster's store at ${host}, which is this machine; the master ` +
    `is at ${master.host}`
  );
}

const EVERYWHERE = new Set(["0.0.0.0", "[::]"]);

function reachable(store: string, host: string): string {
  if (!URL.canParse(store)) return store; // the job's client refuses it in its own words
  const url = new URL(store);
  if (!EVERYWHERE.has(url.hostname)) return store;
  url.hostname = host;
  return url.href;
}
