/**
 * Lesson 15: TitanStore, the shared memory of a cluster. Strings, counters, sets, hashes and lists
 * with expiry, and publish/subscribe, in Redis's language and with Redis's meaning.
 *
 * Six files are the lesson: engine.ts, commands/strings.ts, resp/resp.ts, data/dict.ts,
 * data/expiry.ts and server/server.ts. The others are what production adds.
 *
 *     engine.ts                                          takes one command at a time
 *     store.ts · changes.ts · types.ts                   what a command sees, and may write to
 *     session.ts · blocking.ts · subscriptions.ts        a client; who waits, and who listens
 *     config.ts · refusal.ts · reply-buffer.ts           settings; errors; replies as values
 *     resp/           resp.ts · inline.ts · input.ts     requests, as they are read
 *                     writer.ts · replies.ts · error.ts  replies, written and read
 *     commands/       table.ts · command.ts              every command, and what a row says
 *                     strings.ts · keys.ts · sets.ts · hashes.ts · lists.ts
 *                     transactions.ts · pubsub.ts · persist.ts
 *                     connection.ts · info.ts · introspection.ts    about clients and the server
 *                     numbers.ts · glob.ts · scan.ts     numbers, patterns, cursors
 *     data/           keyspace.ts · expiry.ts            the keys, and when they end
 *                     dict.ts · list.ts · big-map.ts     what a value is made of
 *                     memory.ts                          what it costs, and how much there may be
 *                     dump.ts · snapshot.ts              the data as commands again
 *     log/            open.ts · replay.ts                from a folder to a store
 *                     aof.ts · text.ts                   what is appended
 *                     rewrite.ts · chunk-queue.ts        a log made short again
 *                     snapshot-queue.ts                  one snapshot after the other
 *     replication/    replication.ts                     one primary, and its replicas
 *                     backlog.ts · replica-stream.ts     the primary's side
 *                     replica.ts                         the replica's side
 *     server/         server.ts · connection.ts          the port
 *     client/         client.ts · options.ts · url.ts    a client, and what it is told;
 *                     encode.ts · subscriptions.ts       calls as bytes; who listens to what;
 *                     gateway.ts                         what the master asks for others
 *
 * Test: test/15-store.test.ts
 */
export type * from "./types.ts";
export { Engine } from "./engine.ts";
export type { StoreCounts, StoreOptions } from "./store.ts";
export { Session, type SessionInit } from "./session.ts";
export { ReplyBuffer, type Reply } from "./reply-buffer.ts";
export { Refusal } from "./refusal.ts";
export { MAX_STRING_BYTES, type Setting } from "./config.ts";
export { memoryCeiling, parseMemory, type MemoryOptions } from "./data/memory.ts";
export { Snapshot } from "./data/snapshot.ts";
export * from "./resp/resp.ts";
export { RespError, type RespErrorCode } from "./resp/error.ts";
export { RespWriter } from "./resp/writer.ts";
export { MAX_REPLY_DEPTH, Push, ReplyParser, StoreError, type Value } from "./resp/replies.ts";
export * from "./client/client.ts";
export * from "./client/options.ts";
export {
  GATEWAY_COMMANDS,
  MAX_GATEWAY_BYTES,
  MAX_GATEWAY_CALLS,
  openGateway,
  type Gateway,
  type GatewayOptions,
} from "./client/gateway.ts";
export { parseStoreUrl, StoreUrlError, type StoreTarget } from "./client/url.ts";
export * from "./server/server.ts";
export { openStore, type OpenStore, type OpenStoreOptions } from "./log/open.ts";
export { dumpResp, StoreLogError } from "./log/replay.ts";
export { MAX_BEHIND_BYTES } from "./log/aof.ts";
