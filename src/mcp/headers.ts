/**
 * Lesson 20: headers that repeat what is in the body, for proxies that do not read bodies. A proxy
 * that believes a header, and a server that believes the body, must not be told two things.
 *
 * Test: test/20-mcp.http.test.ts
 */
import { eraOf, HANDSHAKE_VERSIONS, META, metaOf, MODERN_VERSIONS, VERSIONS } from "./era.ts";
import { CODES, RpcFailure, type Message } from "./json-rpc.ts";

export const VERSION_HEADER = "mcp-protocol-version";
/** Where the name is that a header repeats. */
const NAMED: Readonly<Record<string, string>> = {
  "tools/call": "name", "prompts/get": "name", "resources/read": "uri",
};

type Headers = Readonly<Record<string, string | undefined>>;

// #region headers
/** What is wrong with the headers of a message, if anything. */
export function checkHeaders(headers: Headers, message: Message): RpcFailure | undefined {
  const version = headers[VERSION_HEADER];
  const isModern = message.type === "request"
    && eraOf(message.method, message.params) === "modern";
  if (!isModern) {
    const isInitialize = message.type === "request" && message.method === "initialize";
    return isInitialize ? undefined : oldVersion(version, message);
  }
  const { method, params } = message;
  const named = NAMED[method];
  const expected: [string, unknown][] = [
    [VERSION_HEADER, metaOf(params)[META.version]], ["mcp-method", method],
    ...(named === undefined ? [] : [["mcp-name", params[named]] as [string, unknown]]),
  ];
  for (const [name, inBody] of expected) {
    // What the body lacks is the body's fault, and said there.
    if (inBody === undefined) continue;
    const found = name === "mcp-name" ? decoded(headers[name]) : headers[name];
    if (found === inBody) continue;
    const what = found === undefined ? "is missing" : `says ${JSON.stringify(found)}`;
    return new RpcFailure(CODES.HEADER_MISMATCH,
      `Header mismatch: ${name} ${what}, and the body ${JSON.stringify(inBody)?.slice(0, 200)}`);
  }
  return undefined;
}
// #endregion

/** A header of the handshake eras, which may be missing: it is younger than they are. */
function oldVersion(version: string | undefined, message: Message): RpcFailure | undefined {
  if (version === undefined || HANDSHAKE_VERSIONS.includes(version)) return undefined;
  if (MODERN_VERSIONS.includes(version)) {
    if (message.type !== "request") return undefined;
    return new RpcFailure(CODES.INVALID_PARAMS,
      `Cannot serve this: params._meta must have "${META.version}"`);
  }
  return new RpcFailure(CODES.UNSUPPORTED_VERSION,
    `Cannot serve version ${JSON.stringify(version.slice(0, 40))}`,
    { supported: VERSIONS, requested: version });
}

/** `=?base64?…?=` is how a text travels that has other characters than a header may have. */
function decoded(value: string | undefined): string | undefined {
  const found = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value ?? "")?.[1];
  return found === undefined ? value : Buffer.from(found, "base64").toString("utf8");
}
