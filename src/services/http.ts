/**
 * Lesson 14: as much of HTTP as a health check needs: one question, and the first line of the
 * answer.
 *
 *     GET /health HTTP/1.1 …        ▶
 *                                   ◀  HTTP/1.1 200 OK …       the rest is not read
 *
 * Invariant: of an answer at most MAX_LINE_BYTES are kept, whatever the service sends.
 * Left out: redirects (a service that works says so itself), TLS.
 * Test: test/14-services.test.ts
 */

/** A status line is about 20 bytes. What has more before its first line end does not speak HTTP. */
const MAX_LINE_BYTES = 1024;

/** The question, as bytes. */
export function checkRequest(path: string, port: number): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, "User-Agent: titan", "Accept: */*",
    "Connection: close", "", "",
  ];
  return Buffer.from(lines.join("\r\n"), "latin1");
}

/** Reads the first line of an answer, however its bytes arrive. */
export class StatusLine {
  #text = "";

  /**
   * Takes bytes. Undefined: the line is not complete. A number is the status; a text says what is
   * wrong.
   */
  push(bytes: Buffer): number | string | undefined {
    const room = MAX_LINE_BYTES - this.#text.length;
    this.#text += bytes.toString("latin1", 0, Math.min(room, bytes.length));
    const end = this.#text.indexOf("\n");
    if (end < 0 && this.#text.length < MAX_LINE_BYTES) return undefined;
    const found = /^HTTP\/1\.[01] (\d{3})\b/.exec(this.#text);
    return found === null ? "what answers there does not speak HTTP" : Number(found[1]);
  }
}
