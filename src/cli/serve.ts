/**
 * Runs a cluster in this process, with or without workers, until somebody stops it: what `titan up`
 * and `titan master` have in common. They read their own flags and call `serve`.
 *
 * Test: test/cli.cluster.test.ts
 */
import { join, relative } from "node:path";
import { dialable, hostPort } from "#base";
import { DEFAULT_MASTER, tokenOf } from "./address.ts";
import type { ArtifactLimits } from "#core";
import type { EmbeddedCluster, NotifyPolicy, PoolsOption, Scale } from "#cluster";
import type { OldDoor } from "#dialect";
import type { Address } from "#host";
import type { HttpDoor } from "#http";
import { MAX_AGE_MS, type Call } from "./command.ts";
import { CliError, EXIT, exitCodeOf, UsageError } from "./exit.ts";
import { httpOf, openHttp } from "./http-port.ts";
import { preloaded, storeOf } from "./store-url.ts";
import { plural } from "./text.ts";

export interface ServeOptions {
  readonly workers: number;
  readonly slots?: number | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Workers that come and go with the load. */
  readonly scale?: Scale | undefined;
  /** The same, from a file. */
  readonly pools?: PoolsOption | undefined;
  /** Where old clients are served, once they are. */
  readonly older?: Address | undefined;
  /** Where they tell the names of their DAGs. */
  readonly names?: Address | undefined;
  /** The HTTP interface, once there is one. */
  readonly http?: HttpDoor | undefined;
  /** The cluster has a store of its own, unless a flag or the environment says otherwise. */
  readonly ownStore: boolean;
}

export async function serve(call: Call, options: ServeOptions): Promise<number> {
  const { context } = call;
  let end: (fatal?: Error) => void = () => undefined;
  const ended = new Promise<Error | undefined>((resolve) => {
    end = resolve;
  });
  let cluster: EmbeddedCluster | undefined;
  context.onInterrupt((_signal, times) => {
    if (times > 1) {
      context.note("titan: stopped at once; what was acknowledged is in the log");
      cluster?.kill();
      process.exit(EXIT.INTERRUPTED);
    }
    context.note("titan: stopping (Ctrl-C again stops at once)");
    end();
  });
  const port = call.count("port", { min: 0, max: 65_535 }) ?? DEFAULT_MASTER.port;
  const store = await storeOf(call, options.ownStore ? { masterPort: port } : undefined);
  const [durability, graceMs] = [durabilityOf(call), await graceOf(call)];
  const [artifacts, notify] = [await artifactLimits(call), notifyOf(call, options.workers > 0)];
  const v1 = v1Of(call);
  const http = httpOf(call, port);
  const loading = await preloaded(store); // from here on no flag can be wrong
  const { startEmbeddedCluster } = await import("#cluster");
  const stateDir = call.text("state") ?? context.home;
  const older = v1 === undefined ? undefined : await olderDoor(stateDir);
  cluster = await startEmbeddedCluster({
    workers: options.workers, slots: options.slots, tags: options.tags,
    scale: options.scale, pools: options.pools,
    port, durability, graceMs, artifacts, notify,
    store: loading,
    listenHost: call.text("host") ?? DEFAULT_MASTER.host,
    stateDir,
    ...(v1?.port === undefined && { onOlderPeer: older?.take }),
    token: tokenOf(call),
    acceptLoss: call.on("accept-loss"),
    onNote: (text) => context.note(`titan: ${text}`),
    onFatal: end,
    giveUp: ended,
  }).catch((error: Error) => {
    // Interrupted while it started: it did as it was asked to.
    if (exitCodeOf(error) === EXIT.INTERRUPTED) return undefined;
    throw error;
  });
  if (cluster === undefined) return exitAfter(await ended);
  // Also when announcing fails; a second stop does nothing.
  context.onExit(async () => {
    await older?.close();
    await cluster?.stop();
  });
  const { view, master, token } = cluster;
  const olderAt = await older?.open({ view, master, token, port: v1?.port });
  const web = http && (await openHttp(call, cluster, http));
  const names = older && await openManifest(call, older);
  announce(call, cluster, { ...options, older: olderAt, names, http: web });
  const fatal = await ended;
  await Promise.all([web?.close(), older?.close()]);
  await cluster.stop();
  return exitAfter(fatal);
}

/** Workers on this machine run any program as our user: then so may a gate. */
function notifyOf(call: Call, hasWorkers: boolean): NotifyPolicy {
  const text = call.text("notify");
  if (text === undefined) return { commands: hasWorkers, webhooks: true };
  const words = text.split(",").map((word) => word.trim()).filter((word) => word !== "");
  const hosts = words.filter((word) => !["commands", "webhooks", "none"].includes(word));
  const wrong = hosts.find((host) => !URL.canParse(`http://${host}`) || /[:/@]/.test(host));
  if (words.length === 0 || wrong !== undefined || (words.includes("none") && words.length > 1)) {
    const rule = "must be commands, webhooks, names of hosts, or none";
    throw new UsageError(`Cannot use --notify ${text}: ${rule}`);
  }
  const webhooks = words.includes("webhooks") || (hosts.length > 0 && hosts);
  return { commands: words.includes("commands"), webhooks };
}

/** Whether old clients are served, and on which port of their own, if not on the master's. */
function v1Of(call: Call): { port: number | undefined } | undefined {
  const port = call.count("v1-port", { min: 0, max: 65_535 });
  if (port === undefined) return call.on("v1") ? { port } : undefined;
  if (!call.on("v1")) return { port };
  const why = "--v1 serves them on the master's port, --v1-port on one of their own";
  throw new UsageError(`Cannot serve version 1 twice: ${why}`);
}

/** A module that is not loaded unless somebody asks for it. */
async function olderDoor(stateDir: string): Promise<OldDoor> {
  const [{ OldDoor }, { nodeHost }] = await Promise.all([import("#dialect"), import("#host")]);
  return new OldDoor({ host: nodeHost(), dir: join(stateDir, "v1") });
}

/** As the original's SDK reads it. */
const DASHBOARD_PORT = "TITAN_DASHBOARD_PORT";

/**
 * The port at which the original's SDK looks for its dashboard. It may be taken: then DAGs
 * have no names, and all else works.
 */
async function openManifest(call: Call, older: OldDoor): Promise<Address | undefined> {
  const { context } = call;
  const text = context.setting(DASHBOARD_PORT) ?? "5000";
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
    throw new UsageError(`Cannot use ${DASHBOARD_PORT}=${text}: it is no port`);
  }
  try {
    return await older.openManifest(Number(text));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "EADDRINUSE" ? "the port is in use" : message;
    context.note(`titan: warning: version 1 tells no names of DAGs at port ${text}: ${why}`);
    return undefined;
  }
}

function exitAfter(fatal: Error | undefined): number {
  if (fatal === undefined) return EXIT.OK;
  throw new CliError(EXIT.ERROR, `The master has stopped: ${fatal.message}`, { cause: fatal });
}

function durabilityOf(call: Call): "always" | "everysec" | "no" {
  const text = call.text("durability") ?? "always";
  if (text === "always" || text === "everysec" || text === "no") return text;
  throw new UsageError(`Cannot use --durability ${text}: must be always, everysec or no`);
}

async function graceOf(call: Call): Promise<number | undefined> {
  const graceMs = await call.durationMs("grace");
  if (graceMs === undefined) return undefined; // a module less to load
  const { MAX_GRACE_MS } = await import("#wire");
  if (graceMs <= MAX_GRACE_MS) return graceMs;
  throw new UsageError(
    `Cannot use --grace ${call.text("grace")}: must be at most ${MAX_GRACE_MS / 60_000}m`,
  );
}

/** What artifacts may take, if a flag says something else than the master's own limits. */
async function artifactLimits(call: Call): Promise<ArtifactLimits | undefined> {
  const [size, ageMs] = [
    call.text("artifact-max-bytes"),
    await call.durationMs("artifact-max-age", MAX_AGE_MS),
  ];
  if (size === undefined && ageMs === undefined) return undefined;
  const [{ DEFAULT_ARTIFACT_LIMITS }, { parseMemory }] = await Promise.all([
    import("#core"), import("#store"),
  ]);
  const totalBytes = size === undefined ? DEFAULT_ARTIFACT_LIMITS.totalBytes : parseMemory(size);
  if (totalBytes === undefined || totalBytes < 1) {
    const why = "it is a number of bytes, or one with kb, mb or gb";
    throw new UsageError(`Cannot use --artifact-max-bytes ${size}: ${why}`);
  }
  return { ...DEFAULT_ARTIFACT_LIMITS, totalBytes, ...(ageMs !== undefined && { ageMs }) };
}

function announce(call: Call, cluster: EmbeddedCluster, options: ServeOptions): void {
  const { context } = call;
  const { master, stateDir, recovered, store } = cluster;
  const address = hostPort(master);
  if (call.json) return context.json(readyJson(call, cluster, options));
  const shared = store === undefined ? "" : `, store at ${store.url.replace("redis://", "")}`;
  const where = `${address}, ${workersText(options)}${shared}`;
  context.out(`titan: master at ${where}, state in ${shortPath(stateDir)}`);
  const { older, http } = options;
  if (http !== undefined) context.out(`titan: dashboard at ${http.newLink()}`);
  const { names } = options;
  const told = names === undefined ? "" : `, which tell the names of DAGs at ${hostPort(names)}`;
  if (older !== undefined) context.out(`titan: clients of version 1 at ${hostPort(older)}${told}`);
  if (recovered.events + recovered.tornBytes > 0) {
    context.out(
      `titan: recovered ${plural(recovered.runs, "run")} from ` +
        `${plural(recovered.events, "event")}${tornText(recovered)}`,
    );
  }
  for (const damage of recovered.ignored) context.note(`titan: warning: the log: ${damage}`);
  const kept = store?.recovered;
  if (kept !== undefined && kept.keys + kept.tornBytes > 0) {
    context.out(`titan: recovered ${plural(kept.keys, "key")} of the store${tornText(kept)}`);
  }
  for (const damage of kept?.ignored ?? []) {
    context.note(`titan: warning: the store's log: ${damage}`);
  }
  for (const line of nextSteps(master, options)) context.out(`  ${line}`);
}

/** Commands that people may type now: addresses that can be dialled from here. */
export function nextSteps(
  { host, port }: Address,
  { workers, scale, pools }: Pick<ServeOptions, "workers" | "scale" | "pools">,
): string[] {
  const address = hostPort({ host: dialable(host), port });
  const named = address === hostPort(DEFAULT_MASTER) ? "" : ` --master ${address}`;
  const next = workers === 0 && scale === undefined && pools === undefined
    ? `next: titan worker${named}   then: titan run${named} FILE`
    : `next: titan run${named} FILE   or: titan workers${named}   Ctrl-C stops`;
  if (dialable(host) === host) return [next];
  return [next, `from another machine: --master HOST:${port}, where HOST is this machine's name`];
}

/** "2 workers and 0 to 4 more (GPU)". */
function workersText({ workers, scale, pools, tags = [] }: ServeOptions): string {
  if (pools !== undefined) return plural(pools.pools.length, "pool");
  if (workers === 0 && scale === undefined) return "no workers";
  const parts: string[] = [];
  if (workers > 0) parts.push(plural(workers, "worker"));
  if (scale !== undefined) {
    const range = `${scale.min} to ${scale.max}`;
    parts.push(workers > 0 ? `${range} more` : `${range} workers`);
  }
  return `${parts.join(" and ")}${tags.length > 0 ? ` (${tags.join(", ")})` : ""}`;
}

function readyJson(
  call: Call, cluster: EmbeddedCluster, { workers, scale, pools, older, names, http }: ServeOptions,
): object {
  const { master, store } = cluster;
  return {
    type: "ready",
    role: call.command.name,
    master: hostPort(master),
    host: master.host,
    port: master.port,
    v1: older && hostPort(older),
    manifest: names && hostPort(names),
    http: http?.url,
    workers,
    scale,
    pools: pools?.pools.map(({ name, min, max }) => ({ name, min, max })),
    workerPids: cluster.workerPids,
    store: store?.url,
    state: cluster.stateDir,
    pid: process.pid,
    recovered: cluster.recovered,
    storeRecovered: store?.recovered,
  };
}

/** The bytes that the end of a log has lost, as an addition to what was recovered from it. */
export function tornText({ tornBytes }: { readonly tornBytes: number }): string {
  return tornBytes > 0 ? `; cut ${plural(tornBytes, "byte")} of an unfinished write` : "";
}

export function shortPath(path: string): string {
  const here = relative(process.cwd(), path);
  return here !== "" && !here.startsWith("..") ? here : path;
}
