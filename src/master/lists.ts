/**
 * Lesson 10: lists of any length, a page at a time.
 *
 * Test: test/10-master.server.test.ts
 */
import type { IncomingRequest } from "#rpc";
import { pages } from "./pages.ts";
import type { Peer, Services } from "./services.ts";

export interface Listing<Row> {
  readonly peer: Peer;
  readonly rows: Iterable<Row>;
  readonly bytesOf: (row: Row) => number;
  readonly encode: (rows: Row[]) => Buffer;
}

/** A list of any length: each page is made when there is room for it, from what is true then. */
export async function list<Row>(
  { engine, turns }: Services, request: IncomingRequest, listing: Listing<Row>,
): Promise<void> {
  const { peer, rows, bytesOf, encode } = listing;
  const made = pages(rows, bytesOf);
  const next = async (): Promise<Buffer | undefined> => {
    const page = made.next().value;
    if (page === undefined) return undefined;
    const body = encode(page.rows);
    // Read first, then wait: what is read meanwhile may be in memory only.
    await engine.readable();
    return body;
  };
  while (await turns.send(request, peer.connection, next));
  request.end();
}

/**
 * Rows that are made as they are asked for. A collection that changes meanwhile may be longer than
 * it was, or still tell of a run that has just been forgotten; no row is told twice.
 */
export function* mapped<From, To>(all: Iterable<From>, to: (each: From) => To): Generator<To> {
  for (const each of all) yield to(each);
}
