/**
 * Lesson 15: the text that the command INFO answers (connection.ts): sections of fields, which
 * people and monitoring read.
 * Test: test/15-store.commands.test.ts
 */
import type { Store } from "../store.ts";

/** The version in HELLO and INFO: clients decide by it which commands they may use. */
export const COMPATIBLE_VERSION = "7.4.0";

type Fields = Readonly<Record<string, string | number>>;

/** `wanted`: names of sections; none, "default", "all" or "everything" mean all there are. */
export function serverInfo(store: Store, wanted: readonly string[]): string {
  const names = wanted.map((name) => name.toLowerCase());
  const all =
    names.length === 0 ||
    names.some((name) => name === "default" || name === "all" || name === "everything");
  return [...sections(store)]
    .filter(([name]) => all || names.includes(name.toLowerCase()))
    .map(
      ([name, fields]) =>
        `# ${name}\r\n${Object.entries(fields)
          .map(([key, value]) => `${key}:${value}\r\n`)
          .join("")}`,
    )
    .join("\r\n");
}

/** A section that is registered under the same name adds fields, and may replace some. */
function sections(store: Store): Map<string, Fields> {
  const uptime = Math.floor((store.host.clock.monotonic() - store.startedAt) / 1000);
  const found = new Map<string, Fields>([
    [
      "Server",
      {
        redis_version: COMPATIBLE_VERSION,
        server_name: "titanstore",
        redis_mode: "standalone",
        uptime_in_seconds: uptime,
      },
    ],
    [
      "Clients",
      {
        connected_clients: store.sessions.size,
        blocked_clients: store.blocking.size,
        pubsub_clients: [...store.sessions.values()].filter((each) => each.subscriptions > 0)
          .length,
      },
    ],
    [
      "Memory",
      {
        used_memory: store.keys.bytes,
        used_memory_dataset: store.keys.bytes,
        maxmemory: store.memory.bytes,
        maxmemory_policy: "noeviction",
      },
    ],
    ["Persistence", { loading: store.role === "loading" ? 1 : 0, aof_enabled: 0 }],
    [
      "Stats",
      {
        total_connections_received: store.stats.connections,
        total_commands_processed: store.stats.commands,
        expired_keys: store.stats.expired,
        pubsub_channels: store.subscriptions.channels.size,
        pubsub_patterns: store.subscriptions.patterns.size,
      },
    ],
    ["Replication", { role: store.role === "replica" ? "slave" : "master", connected_slaves: 0 }],
  ]);
  for (const [name, fields] of store.info) found.set(name, { ...found.get(name), ...fields() });
  const { size, expiry } = store.keys;
  found.set("Keyspace", size === 0 ? {} : { db0: `keys=${size},expires=${expiry.size},avg_ttl=0` });
  return found;
}
