/**
 * Lesson 19: keys of the cluster's store: a page of them by their prefix, one with its value, and
 * what a person changes by hand.
 *
 * Invariant: an answer has at most MAX_ITEMS elements of a value, and MAX_VALUE_BYTES of a text.
 * Left out: types that only a Redis behind it has, but for sorted sets.
 * Test: test/http.routes.test.ts
 */
import { any, boolean, integer, list, object, orNull, replyJson, text } from "#rows";
import { RpcError } from "#rpc";
import type { Client } from "#sdk";
import { StoreError } from "#store";
import { HttpError, type Asked, type Route } from "./route.ts";
import { numberOf } from "./reads.ts";

const MAX_KEYS = 1000;
const KEYS_PER_PAGE = 100;
/** A scan looks at so many keys to find those that are wanted, before it says where to go on. */
const LOOKS = 10;
const MAX_ITEMS = 1000;
const MAX_VALUE_BYTES = 64 * 1024;

const key = { key: text, type: text, ttlMs: orNull(integer) };

export const KEYS: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/store/keys",
    summary: "Keys of the store, in no order; `cursor` of the answer asks for more until it is 0.",
    query: {
      prefix: "only keys that begin so", cursor: "where to go on",
      limit: `about so many (default ${KEYS_PER_PAGE}, at most ${MAX_KEYS})`,
    },
    answer: object({ store: boolean, keys: list(object(key)), cursor: text }), run: listed,
  },
  {
    method: "GET", path: "/api/v1/store/keys/{key}",
    summary: "A key with its value, cut where it is long. One that is not there has type `none`.",
    answer: object({ ...key, value: any, length: integer, whole: boolean }), run: shown,
  },
  {
    method: "POST", path: "/api/v1/store/keys/{key}", summary:
      "Writes a text under a key. `was`: only if the key has this value, or (null) none. " +
      "`keepTtl`: what is left of its time stays.",
    body: object({
      value: text, "ttlMs?": integer, "keepTtl?": boolean, "was?": orNull(text),
    }),
    answer: object({ key: text }), run: written,
  },
  {
    method: "POST", path: "/api/v1/store/keys/{key}/delete", summary: "Deletes a key.",
    body: object({}), answer: object({ key: text, deleted: boolean }),
    run: async ({ client, path }) =>
      ({ key: path["key"], deleted: (await client.kv("DEL", path["key"]!)) === 1 }),
  },
];

/** `store`: whether this cluster has one. That it has none is a fact, and no failure. */
async function listed(asked: Asked): Promise<object> {
  try {
    return { store: true, ...await pageOf(asked) };
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== "NOT_FOUND") throw error;
    return { store: false, keys: [], cursor: "0" };
  }
}

async function pageOf({ client, query }: Asked): Promise<object> {
  const limit = numberOf(query, "limit", { usual: KEYS_PER_PAGE, max: MAX_KEYS });
  const prefix = (query.get("prefix") ?? "").replace(/[\\*?[\]]/g, "\\$&");
  let cursor = query.get("cursor") ?? "0";
  const found: string[] = [];
  for (let look = 0; look < LOOKS; look++) {
    const count = String(Math.max(1, limit));
    const page = await client.kv("SCAN", cursor, "MATCH", `${prefix}*`, "COUNT", count);
    const [next, keys] = page as [string, string[]];
    found.push(...keys);
    cursor = String(next);
    if (cursor === "0" || found.length >= limit) break;
  }
  return { keys: await Promise.all(found.map((name) => headOf(client, name))), cursor };
}

async function headOf(client: Client, name: string): Promise<Head> {
  const [type, ttl] = await Promise.all([client.kv("TYPE", name), client.kv("PTTL", name)]);
  return { key: name, type: String(type), ttlMs: Number(ttl) < 0 ? null : Number(ttl) };
}

interface Head {
  readonly key: string;
  readonly type: string;
  readonly ttlMs: number | null;
}

const last = String(MAX_ITEMS - 1);

/** How much there is, and the beginning of it. */
const LOOK: Readonly<Record<string, readonly [length: string, value: readonly string[]]>> = {
  string: ["STRLEN", ["GETRANGE", "0", String(MAX_VALUE_BYTES - 1)]],
  list: ["LLEN", ["LRANGE", "0", last]],
  hash: ["HLEN", ["HSCAN", "0", "COUNT", String(MAX_ITEMS)]],
  set: ["SCARD", ["SSCAN", "0", "COUNT", String(MAX_ITEMS)]],
  zset: ["ZCARD", ["ZRANGE", "0", last, "WITHSCORES"]],
};

async function shown({ client, path }: Asked): Promise<object> {
  const head = await headOf(client, path["key"]!);
  // A fact as well: browsers write every 404 into their console as an error.
  if (head.type === "none") return { ...head, value: null, length: 0, whole: true };
  const look = LOOK[head.type];
  if (look === undefined) return { ...head, value: null, length: 0, whole: false };
  const [count, [command, ...rest]] = look;
  const length = Number(await client.kv(count, head.key));
  const found = replyJson(await client.kvBuffers(command!, head.key, ...rest));
  const isScan = command!.endsWith("SCAN");
  const value = isScan ? scanned(head.type, (found as [unknown, unknown[]])[1]) : found;
  const most = head.type === "string" ? MAX_VALUE_BYTES : MAX_ITEMS;
  const isWhole = isScan ? Number((found as [unknown])[0]) === 0 : length <= most;
  return { ...head, value, length, whole: isWhole };
}

/** The fields of a hash come as name, value, name, value… */
function scanned(type: string, items: readonly unknown[]): unknown {
  if (type !== "hash") return items;
  const pairs: [unknown, unknown][] = [];
  for (let at = 0; at < items.length; at += 2) pairs.push([items[at], items[at + 1]]);
  return pairs.every(([name]) => typeof name === "string")
    ? Object.fromEntries(pairs as [string, unknown][]) : pairs;
}

interface Writing {
  readonly value: string;
  readonly ttlMs?: number;
  readonly keepTtl?: boolean;
  readonly was?: string | null;
}

async function written({ client, path, body }: Asked): Promise<object> {
  const { value, ttlMs, keepTtl = false, was } = body as unknown as Writing;
  const key = path["key"]!;
  const time = ttlMs !== undefined ? ["PX", String(ttlMs)] : keepTtl ? ["KEEPTTL"] : [];
  const change = [value, ...time];
  if (was === undefined) await client.kv("SET", key, ...change);
  else if (!await isSwapped(client, key, { was, change })) {
    throw new HttpError(409, "CONFLICT",
      `Cannot write ${JSON.stringify(key)}: it has another value by now`);
  }
  return { key };
}

/** In one command where the store has it: nobody writes between the look and the change. */
async function isSwapped(
  client: Client, key: string,
  { was, change }: { was: string | null; change: readonly string[] },
): Promise<boolean> {
  if (was === null) return (await client.kv("SET", key, ...change, "NX")) !== null;
  try {
    return (await client.kv("SET", key, ...change, "IFEQ", was)) !== null;
  } catch (error) {
    // A Redis before 8.4 has no IFEQ: a look and a write are the best that there is.
    if (!(error instanceof StoreError) || !/syntax error/i.test(error.message)) throw error;
    if ((await client.kv("GET", key)) !== was) return false;
    return (await client.kv("SET", key, ...change)) !== null;
  }
}
