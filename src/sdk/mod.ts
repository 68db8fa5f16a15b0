/**
 * Lesson 10: the client: everything that the command line does, for programs.
 *
 *     const titan = await connect({ host: nodeHost(), master: { host: "127.0.0.1", port: 9090 } });
 *     const { run } = await titan.submit(parsePipeline(text));
 *     for await (const news of titan.watch(run)) …
 *
 * One connection, many requests at once (lesson 04). Methods reject with `RpcError`, whose `code` says what a program can
 * do about it; `kv` also with `StoreError`, when it is the store that said no. Jobs have a client of the store in `store.ts`.
 *
 * Test: test/10-master.test.ts
 */
export { connect, type Client, type ConnectOptions, type SubmitOptions, type RunStatusReport } from "./client.ts";
export { toSpec } from "./spec.ts";
export { type RunEvent } from "./watch.ts";
