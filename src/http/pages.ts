/**
 * Lesson 19: the dashboard behind the port: its files, and its page for every path of a view.
 *
 * Test: test/19-dashboard.http.test.ts
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Dashboard, lockedPage } from "#dashboard";
import type { Host } from "#host";
import { sendAsset } from "./answer.ts";
import { HttpError } from "./route.ts";

const ASSETS = "/assets/";

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export class Pages {
  readonly #host: Host;
  /** Read when the first person looks. */
  #dashboard: Promise<Dashboard> | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** @throws {HttpError} 404, 405, 503 */
  async serve(path: string, { request, response }: Exchange): Promise<void> {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      const what = `Cannot ${method} ${path}: it takes GET`;
      throw new HttpError(405, "UNSUPPORTED", what, { allow: "GET, HEAD" });
    }
    const dashboard = await (this.#dashboard ??= this.#load());
    if (!dashboard.isBuilt) {
      const why = "Cannot serve the dashboard: it is not built (npm run build)";
      throw new HttpError(503, "INTERNAL", why);
    }
    const isAsset = path.startsWith(ASSETS);
    const asset = isAsset ? dashboard.find(path.slice(ASSETS.length)) : dashboard.shell;
    if (asset === undefined) throw new HttpError(404, "NOT_FOUND", `There is no file ${path}`);
    sendAsset(asset, { request, response });
  }

  /** One that fails, perhaps for want of file handles, fails for those who asked, and no others. */
  async #load(): Promise<Dashboard> {
    try {
      return await Dashboard.load(this.#host);
    } catch (error) {
      this.#dashboard = undefined;
      throw error;
    }
  }
}

/** Paths of programs. A wrong one is an error in words, and never a page. */
export function isOfApi(path: string): boolean {
  return /^\/(?:api|login|mcp|metrics)(?:\/|$)/.test(path);
}

/** Whether a person asks, with a browser, for a page. */
export function wantsPage(path: string, { headers }: IncomingMessage): boolean {
  return !isOfApi(path) && !path.startsWith(ASSETS) && /\btext\/html\b/.test(headers.accept ?? "");
}

/** Tells a person how to log in. It holds no data. */
export function sendLocked(response: ServerResponse, why: string): void {
  const body = Buffer.from(lockedPage(why));
  response.writeHead(401, {
    "content-type": "text/html; charset=utf-8", "content-length": body.length,
  });
  response.end(body);
}
