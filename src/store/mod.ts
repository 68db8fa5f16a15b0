/**
 * Lesson 15: TitanStore, the shared memory of a cluster. Strings, counters, sets, hashes and lists
 * with expiry, and publish/subscribe, in Redis's language and with Redis's meaning.
 *
 * Six files are the lesson: resp/resp.ts, store.ts, commands/table.ts, commands/sets.ts,
 * data/keyspace.ts and log/aof.ts. The others are what production adds.
 *
 *     store.ts · types.ts · session.ts · refusal.ts     one command at a time; its words and errors
 *     config.ts · recorder.ts                           settings; replies as values
 *     resp/           the protocol: resp.ts · inline.ts · input.ts   requests, as they are read
 *                     writer.ts · replies.ts · error.ts              replies, written and read
 *     commands/       table.ts · command.ts              every command, and what a row says
 *                     strings.ts · keys.ts · sets.ts · hashes.ts · lists.ts · blocking.ts
 *                     transactions.ts · pubsub.ts · persist.ts
 *                     connection.ts · info.ts · introspection.ts     about clients and the server
 *                     numbers.ts · glob.ts · scan.ts     numbers as Redis reads them, patterns, cursors
 *     data/           keyspace.ts · expiry.ts            the keys, and when they end
 *                     dict.ts · list.ts · big-map.ts     what a value is made of
 *                     memory.ts                          what it costs, and how much there may be
 *                     dump.ts · snapshot.ts              the data as commands again
 *     log/            open.ts · replay.ts                from a folder to a store
 *                     aof.ts · queue.ts · text.ts        what is appended, and rewritten
 *                     persist.ts                         what the log is told
 *     replication/    replication.ts · feed.ts · backlog.ts · replica.ts   copies of it elsewhere
 *     server/         server.ts · connection.ts          the port
 *     client/         client.ts · url.ts · gateway.ts    a client; what the master asks for others
 *
 * Test: test/15-store.test.ts
 */
export type * from "./types.ts";
export { Store, type Role, type StoreCounts, type StoreOptions, type StoreStats } from "./store.ts";
export { Session, type SessionInit } from "./session.ts";
export { Recorder, type Reply } from "./recorder.ts";
export { Refusal } from "./refusal.ts";
export { MAX_STRING_BYTES, type Setting } from "./config.ts";
export { memoryCeiling, parseMemory, type MemoryOptions } from "./data/memory.ts";
export { Snapshot } from "./data/snapshot.ts";
export * from "./resp/resp.ts";
export { RespError, type RespErrorCode } from "./resp/error.ts";
export { RespWriter } from "./resp/writer.ts";
export {
  MAX_REPLY_BYTES,
  MAX_REPLY_DEPTH,
  Push,
  ReplyParser,
  StoreError,
  type Value,
} from "./resp/replies.ts";
export * from "./client/client.ts";
export {
  GATEWAY_COMMANDS,
  MAX_GATEWAY_BYTES,
  MAX_GATEWAY_CALLS,
  openGateway,
  type Gateway,
  type GatewayOptions,
} from "./client/gateway.ts";
export { parseStoreUrl, REDIS_PORT, StoreUrlError, type StoreTarget } from "./client/url.ts";
export * from "./server/server.ts";
export { openStore, type OpenStore, type OpenStoreOptions } from "./log/open.ts";
export { dumpResp, StoreLogError } from "./log/replay.ts";
export { MAX_BEHIND_BYTES, REWRITE_MIN_BYTES } from "./log/aof.ts";
export { BACKLOG_BYTES, LAG_FACTOR } from "./replication/replication.ts";
export { REPLICATION_SILENCE_MS } from "./replication/replica.ts";
