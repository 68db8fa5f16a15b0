/**
 * Lesson 20: the versions of MCP, and the two eras that they fall into.
 *
 *     handshake   2024-11-05 … 2025-11-25   initialize once; the connection remembers
 *     modern      2026-07-28                each request says all that is needed to answer it
 *
 * Which era it is follows from the message alone, so one process serves both at the same time.
 *
 * Test: test/20-mcp.test.ts
 */
import { isObject, type Params } from "./json-rpc.ts";

const PREFIX = "io.modelcontextprotocol/";
export const META = {
  version: `${PREFIX}protocolVersion`,
  capabilities: `${PREFIX}clientCapabilities`,
  client: `${PREFIX}clientInfo`,
  server: `${PREFIX}serverInfo`,
  subscription: `${PREFIX}subscriptionId`,
} as const;

export const MODERN_VERSIONS: readonly string[] = ["2026-07-28"];
/** The newest first. */
export const HANDSHAKE_VERSIONS: readonly string[] = [
  "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05",
];
export const VERSIONS: readonly string[] = [...MODERN_VERSIONS, ...HANDSHAKE_VERSIONS];

/** Methods that only one era has: with them nothing else needs to be looked at. */
const MODERN_METHODS = new Set(["server/discover", "subscriptions/listen"]);

export function metaOf(params: Params): Params {
  const meta = params["_meta"];
  return isObject(meta) ? meta : {};
}

// #region era
/** The era of a request. A modern one that lacks something is a modern one, and is told so. */
export function eraOf(method: string, params: Params): "modern" | "handshake" {
  // #exercise eraOf
  if (method === "initialize") return "handshake";
  if (MODERN_METHODS.has(method)) return "modern";
  const meta = metaOf(params);
  const isModern = [META.version, META.capabilities].some((key) => Object.hasOwn(meta, key));
  return isModern ? "modern" : "handshake";
  // #end-exercise
}

/**
 * The version that a handshake agrees on: the one that was asked for, else our newest of its era.
 */
export function agreedVersion(asked: unknown): string {
  return HANDSHAKE_VERSIONS.find((version) => version === asked) ?? HANDSHAKE_VERSIONS[0]!;
}
// #endregion
