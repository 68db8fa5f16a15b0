/**
 * Lesson 15: a command for the cluster's store, by way of the master.
 *
 * Test: test/sdk.test.ts
 */
import { RpcError } from "#rpc";
import type { Argument, Value } from "#store";
import { KvReply, KvRequest, MAX_KV_ARGS, MAX_KV_BYTES, Op } from "#wire";
import { named } from "#calls";

/** #store, once a program has asked for a key. */
let storeModule: typeof import("#store") | undefined;

/** @throws {StoreError} the store's own @throws {RpcError} TOO_LARGE */
export async function askStore(
  ask: (opcode: number, body: Buffer) => Promise<Buffer>,
  args: readonly [string, ...Argument[]],
  options: { buffers: boolean } = { buffers: false },
): Promise<Value> {
  const list = args.map(bytesOf);
  const bytes = list.reduce((sum, arg) => sum + arg.length, 0);
  if (bytes > MAX_KV_BYTES || list.length > MAX_KV_ARGS) {
    const what = `${args[0]} with ${list.length} arguments of ${bytes} bytes together`;
    const limits = `${MAX_KV_ARGS}, ${MAX_KV_BYTES}`;
    const why = `${what} is more than travels through the master (${limits})`;
    throw new RpcError("TOO_LARGE", `Cannot ask the store: ${why}`);
  }
  const { resp } = KvReply.decode(await ask(Op.KV, KvRequest.encode({ args: list })));
  // Late, since other requests need nothing of it; and once, since even the second import of a
  // module takes 150 µs.
  const { ReplyParser, StoreError, Push } = (storeModule ??= await import("#store"));
  const parser = new ReplyParser(options);
  parser.push(resp);
  const value = parser.next();
  if (value === undefined || value instanceof Push) {
    const why = "it is not a whole one";
    throw new RpcError("BAD_REQUEST", `Cannot read the store's answer to ${args[0]}: ${why}`);
  }
  if (value instanceof StoreError) throw value;
  return value;
}

function bytesOf(arg: Argument): Buffer {
  if (ArrayBuffer.isView(arg)) return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength);
  if (["string", "number", "bigint"].includes(typeof arg)) return Buffer.from(String(arg));
  const expected = "an argument must be text, a number or bytes";
  throw new TypeError(`Cannot ask the store: ${expected}, found ${named(arg)}`);
}
