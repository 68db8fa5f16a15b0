/**
 * Lesson 19: the body of a request: read up to a limit, and compared with what its route takes.
 *
 * Test: test/http.test.ts
 */
import type { IncomingMessage } from "node:http";
import { mismatch } from "#rows";
import { HttpError, type Route } from "./route.ts";

/** As a frame of the wire: the largest pipeline that travels in one piece. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Without its parameters, in small letters. */
export function mediaType(header = ""): string {
  return header.split(";")[0]!.trim().toLowerCase();
}

/** @throws {HttpError} 413 */
export async function readBody(request: IncomingMessage, method: string): Promise<Buffer> {
  if (method === "GET") return Buffer.alloc(0);
  const tooLarge = (): HttpError =>
    new HttpError(413, "TOO_LARGE", `Cannot read the body: more than ${MAX_BODY_BYTES} bytes`,
      { connection: "close" });
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** @throws {HttpError} 400, 415 */
export function bodyOf(
  { body, takes }: Route, bytes: Buffer, contentType: string,
): Readonly<Record<string, unknown>> {
  if (takes !== undefined && !takes.includes(contentType)) {
    throw new HttpError(415, "UNSUPPORTED", `Cannot read a body of type "${contentType}": ` +
      `send ${takes.join(" or ")}`);
  }
  if (body === undefined || bytes.length === 0) return check(body, {});
  if (contentType !== "application/json") {
    throw new HttpError(415, "UNSUPPORTED",
      `Cannot read a body of type "${contentType}": send application/json`);
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    const found = (error as Error).message;
    throw new HttpError(400, "BAD_REQUEST", `Cannot read the body as JSON: ${found}`);
  }
  return check(body, value);
}

function check(body: Route["body"], value: unknown): Readonly<Record<string, unknown>> {
  const wrong = body === undefined ? undefined : mismatch(body, value, "body");
  if (wrong !== undefined) throw new HttpError(400, "BAD_REQUEST", `Cannot use the body: ${wrong}`);
  return value as Readonly<Record<string, unknown>>;
}
