/**
 * Lesson 19: requests to the master's port, with errors in words that a person can act on.
 *
 * Invariant: every request ends: with an answer, an error, or the end of our patience.
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Problem } from "./state.ts";

/** A master that takes longer has other worries, and so has the person. */
const PATIENCE_MS = 15_000;
/** A page of another origin cannot send it (src/http/guard.ts). */
const CHANGE = { "titan-request": "1" };

export class ApiError extends Error implements Problem {
  /** Of HTTP; 0: no answer came. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

export interface Api {
  /** `path`: below /api/v1/, as "runs" or "runs/x?limit=5". @throws {ApiError} */
  get<T>(path: string): Promise<T>;
  /** Several of them, which name nothing but themselves: "workers". @throws {ApiError} */
  several(paths: readonly string[]): Promise<readonly Answered[]>;
  /** A text at an absolute path: "/metrics". @throws {ApiError} */
  text(path: string): Promise<string>;
  /** A change. @throws {ApiError} */
  post<T>(path: string, body?: object): Promise<T>;
  /** A text, such as a pipeline: "application/yaml". @throws {ApiError} */
  send<T>(path: string, text: string, type: string): Promise<T>;
}

/** One of several answers. */
export interface Answered {
  /** Its path. */
  readonly get: string;
  readonly value?: unknown;
  readonly error?: Problem;
}

/** What was answered last to the same question, and what the master calls it. */
const answered = new Map<string, { readonly etag: string; readonly answers: Answered[] }>();

let lastAnswerAt = -Infinity;

/** Milliseconds since the master has answered anything: so long ago it was there. */
export function sinceAnswer(): number {
  return performance.now() - lastAnswerAt;
}

export const api: Api = {
  several,
  text: async (path) => (await answerTo(path, {})).text(),
  get: (path) => ask(path, {}),
  post: (path, body = {}) => ask(path, {
    method: "POST", body: JSON.stringify(body),
    headers: { ...CHANGE, "content-type": "application/json" },
  }),
  send: (path, text, type) => ask(path, {
    method: "POST", body: text, headers: { ...CHANGE, "content-type": type },
  }),
};

async function several(paths: readonly string[]): Promise<readonly Answered[]> {
  const question = new URLSearchParams(paths.map((path) => ["get", path])).toString();
  const before = answered.get(question);
  const headers = before === undefined ? {} : { "if-none-match": before.etag };
  const response = await answerTo(`/api/v1/answers?${question}`, { headers });
  if (response.status === 304) return before!.answers;
  const answers = await jsonOf<Answered[]>(response);
  answered.set(question, { etag: response.headers.get("etag") ?? "", answers });
  return answers;
}

async function ask<T>(path: string, options: RequestInit): Promise<T> {
  return jsonOf(await answerTo(`/api/v1/${path}`, options));
}

async function jsonOf<T>(response: Response): Promise<T> {
  try {
    return await response.json() as T;
  } catch {
    const { pathname } = new URL(response.url);
    throw new ApiError(200, `Cannot read the answer to ${pathname}: it is no JSON`);
  }
}

/** An answer that is good, or has not changed. @throws {ApiError} */
async function answerTo(path: string, options: RequestInit): Promise<Response> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  let response: Response;
  try {
    response = await fetch(path, { ...options, signal, cache: "no-store" });
  } catch (error) {
    const isLate = (error as Error).name === "TimeoutError";
    const what = isLate ? `no answer within ${PATIENCE_MS / 1000} s` : "it does not answer";
    throw new ApiError(0, `Cannot reach ${location.host}: ${what}`);
  }
  lastAnswerAt = performance.now();
  if (response.ok || response.status === 304) return response;
  const text = await response.text().catch(() => "");
  throw new ApiError(response.status, reasonOf(response, text));
}

function reasonOf({ status, statusText }: Response, text: string): string {
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return `The master answered ${status} ${statusText}`;
  }
}
