/**
 * Lesson 15: TitanStore, the shared memory of a cluster. Strings, counters, sets, hashes and lists with expiry, and
 * publish/subscribe, in Redis's language and with Redis's meaning.
 *
 *     types.ts · session.ts · command.ts       the words
 *     commands.ts · config.ts · refusal.ts     the table of commands, settings, errors
 *     recorder.ts                              replies as values
 *     store.ts                                 the engine: one command at a time
 *     keyspace.ts · dict.ts · big-map.ts · deque.ts · expiry.ts          the data
 *     memory.ts                                what it costs, and how much there may be
 *     numbers.ts · glob.ts · scan.ts           numbers as Redis reads them, patterns, cursors
 *     strings.ts · keys.ts · sets.ts · hashes.ts · lists.ts · blocking.ts    the commands
 *     transactions.ts · pubsub.ts · connection.ts · info.ts · introspection.ts    more of them
 *     gateway.ts                               what the master asks of it, for those who cannot
 *     dump.ts · snapshot.ts                    the data as commands again
 *     open.ts · aof*.ts · replay.ts · persist*.ts           the log, how it is read and rewritten
 *     replication*.ts · replica.ts             copies of it elsewhere
 *     resp*.ts · server*.ts · client*.ts       the protocol, and both ends of it
 *
 * Test: test/15-store.test.ts
 */
export type * from "./types.ts";
export { Store, type Role, type StoreOptions, type StoreStats } from "./store.ts";
export { Session, type SessionInit } from "./session.ts";
export { Recorder, type Reply } from "./recorder.ts";
export { Refusal } from "./refusal.ts";
export { MAX_STRING_BYTES, type Setting } from "./config.ts";
export { memoryCeiling, parseMemory, type MemoryOptions } from "./memory.ts";
export { Snapshot } from "./snapshot.ts";
export * from "./resp.ts";
export { RespError, type RespErrorCode } from "./resp-error.ts";
export { RespWriter } from "./resp-writer.ts";
export { MAX_REPLY_BYTES, MAX_REPLY_DEPTH, Push, ReplyParser, StoreError, type Value } from "./resp-replies.ts";
export * from "./client.ts";
export { GATEWAY_COMMANDS, MAX_GATEWAY_BYTES, MAX_GATEWAY_CALLS, openGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
export { parseStoreUrl, REDIS_PORT, StoreUrlError, type StoreTarget } from "./client-url.ts";
export * from "./server.ts";
export { openStore, type OpenStore, type OpenStoreOptions } from "./open.ts";
export { dumpResp, StoreLogError } from "./replay.ts";
export { MAX_BEHIND_BYTES, REWRITE_MIN_BYTES } from "./aof.ts";
export { BACKLOG_BYTES, LAG_FACTOR } from "./replication.ts";
export { REPLICATION_SILENCE_MS } from "./replica.ts";
