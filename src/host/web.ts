/**
 * Lesson 18: requests to servers of the web.
 *
 * A program of a job asks a provider of models, by a name of its own, so that a test can hand it
 * another one. The master only ever tells (lesson 16): it sends a message to an address that a
 * pipeline names, and learns no more than a status. So whoever chooses that address can make the
 * master read nothing to him, and a redirect leads nowhere.
 *
 * Test: test/16-gates.notify.test.ts
 */
import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";

export type Fetch = typeof globalThis.fetch;

export function nodeFetch(): Fetch {
  return (input, init) => globalThis.fetch(input, init);
}

export interface PostOptions {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** The status of the answer. Rejects if there is none in time. */
export type Post = (url: string, options: PostOptions) => Promise<number>;

export function nodePost(): Post {
  return (url, { body, headers, timeoutMs }) => new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? requestSecure : requestPlain;
    const signal = AbortSignal.timeout(timeoutMs);
    const length = { "content-length": String(Buffer.byteLength(body)) };
    const asked = request(url, {
      method: "POST", agent: false, signal, headers: { ...headers, ...length },
    }, (answer) => {
      // Nobody reads what else it says.
      answer.on("error", () => undefined).destroy();
      resolve(answer.statusCode ?? 0);
    });
    asked.on("error", (error: Error) => {
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs / 1000} s`) : error);
    });
    asked.end(body);
  });
}
