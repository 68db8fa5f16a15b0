/**
 * Lesson 20: another protocol at a path of its own, behind the same guard: `/mcp`.
 *
 * The port knows nothing of it: it hands over the head and the body of a request, and sends what
 * comes back: a text, or pieces of a text as they come.
 *
 * Invariant: `signal` is aborted once the peer is gone.
 * Test: test/http.test.ts
 */
export interface MountedRequest {
  readonly method: string;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

export interface MountedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | AsyncIterable<string>;
}

export type Mount = (request: MountedRequest) => Promise<MountedAnswer>;
