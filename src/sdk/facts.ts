/**
 * Lesson 10: the client's end of FACTS: what happens in a cluster, as it happens.
 *
 * Test: test/10-master.facts.test.ts
 */
import type { RpcStream } from "#rpc";
import { FactsPage } from "#wire";

/**
 * What happened, by its number in the log. Type "gap": what was before this number cannot be told
 * any more; look at what is there now.
 */
export interface ClusterEvent {
  readonly seq: number;
  readonly type: string;
  readonly at?: number;
  readonly run?: string;
  readonly job?: string;
  readonly [more: string]: unknown;
}

export async function* readFacts(
  pages: RpcStream, signal?: AbortSignal,
): AsyncGenerator<FactsPage> {
  const leave = (): void => pages.cancel();
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    for await (const body of pages) yield FactsPage.decode(body);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

export async function* readEvents(pages: AsyncIterable<FactsPage>): AsyncGenerator<ClusterEvent> {
  for await (const { reset, first, facts } of pages) {
    if (reset) yield { type: "gap", seq: first };
    for (const { text } of facts) yield JSON.parse(text) as ClusterEvent;
  }
}
