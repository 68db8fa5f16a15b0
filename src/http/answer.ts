/**
 * Lesson 19: answers: JSON, downloads, errors, and the headers that all of them have.
 *
 * Test: test/http.test.ts
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { CodecError } from "#codec";
import type { Asset } from "#dashboard";
import { PipelineError } from "#pipeline";
import { RpcError, type RpcErrorCode } from "#rpc";
import { StoreError } from "#store";
import type { MountedAnswer } from "./mount.ts";
import { Download, HttpError, type Live, type Plain, type Shared } from "./route.ts";

/**
 * Of every answer. A page of ours loads nothing from elsewhere, runs no script that stands in a
 * page, and stands in no frame; a browser takes each answer for what it is called.
 */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
    "object-src 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-store",
};

/** What each code of lesson 04 is called in HTTP. */
const STATUS: Readonly<Record<RpcErrorCode, number>> = {
  CLOSED: 502, DEADLINE: 504, CANCELLED: 499, OVERLOADED: 503, TOO_LARGE: 413, BAD_FRAME: 502,
  BAD_REQUEST: 400, UNAUTHORIZED: 401, NOT_FOUND: 404, CONFLICT: 409, INVALID: 422,
  UNSCHEDULABLE: 422, UNSUPPORTED: 501, INTERNAL: 500, BUDGET: 402, LIMIT: 422,
};
/** A client that was refused for want of room comes again after so many seconds. */
const RETRY_AFTER_S = "1";

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8", "content-length": body.length,
  });
  response.end(body);
}

/** One that the asker has already is told so, without being sent. */
export function sendShared(
  response: ServerResponse, { bytes, etag }: Shared, known: string | undefined,
): void {
  if (known === etag) return void response.writeHead(304, { etag }).end();
  response.writeHead(200, {
    "content-type": "application/json; charset=utf-8", "content-length": bytes.length, etag,
  });
  response.end(bytes);
}

/** A file of the dashboard. A browser that has it already is told so, in a hundred bytes. */
export function sendAsset(
  { type, etag, bytes, zipped }: Asset,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): void {
  const headers = { etag, "cache-control": "no-cache", vary: "accept-encoding" };
  if (request.headers["if-none-match"] === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const isZipped = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  const body = isZipped ? zipped : bytes;
  response.writeHead(200, {
    ...headers, "content-type": type, "content-length": body.length,
    ...(isZipped && { "content-encoding": "gzip" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** A file for the person's disk: a browser shows nothing of it. */
export async function sendDownload(response: ServerResponse, download: Download): Promise<void> {
  const { name, type, pieces } = download;
  const safe = name.replace(/[^\w.-]/g, "_");
  response.writeHead(200, {
    "content-type": type, "content-disposition": `attachment; filename="${safe}"`,
  });
  response.flushHeaders();
  for await (const piece of pieces) {
    if (response.destroyed) return;
    // A peer that does not read stops the one who writes.
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

/** A peer that is gone in mid-stream ends it: its signal ends the pieces, too. */
export async function sendMounted(
  response: ServerResponse, { status, headers, body }: MountedAnswer,
): Promise<void> {
  const length = typeof body === "string" && body !== ""
    ? { "content-length": Buffer.byteLength(body) } : {};
  response.writeHead(status, { ...headers, ...length });
  if (typeof body === "string") return void response.end(body);
  response.flushHeaders();
  for await (const piece of body) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}

export function sendPlain(response: ServerResponse, { type, text }: Plain): void {
  const body = Buffer.from(text);
  response.writeHead(200, { "content-type": type, "content-length": body.length }).end(body);
}

/** An answer that does not end. A proxy on the way is not to keep any of it. */
export function sendLive(response: ServerResponse, { open }: Live): void {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no",
  });
  response.flushHeaders();
  open(response);
}

export function sendError(response: ServerResponse, error: unknown): void {
  const { status, code, message, headers } = asHttp(error);
  // Cut, so that nobody takes it for whole.
  if (response.headersSent) return void response.destroy();
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendJson(response, status, { error: { code, message } });
}

/** What went wrong with one answer of several. */
export function problemOf(error: unknown): { status: number; code: string; message: string } {
  const { status, code, message } = asHttp(error);
  return { status, code, message };
}

function asHttp(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof RpcError) {
    const headers = error.code === "OVERLOADED" ? { "retry-after": RETRY_AFTER_S } : {};
    return new HttpError(STATUS[error.code], error.code, error.message, headers);
  }
  if (error instanceof StoreError) {
    const isAway = error.code === "UNREACHABLE" || error.code === "LOST";
    return new HttpError(isAway ? 502 : 422, "STORE", error.message);
  }
  if (error instanceof PipelineError) return new HttpError(422, "INVALID", error.message);
  // A text that does not fit into a message of the wire.
  if (error instanceof CodecError) return new HttpError(400, "BAD_REQUEST", error.message);
  return new HttpError(500, "INTERNAL", `Cannot serve this: ${(error as Error).message}`);
}
