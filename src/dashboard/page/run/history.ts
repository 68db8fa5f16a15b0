/**
 * Lesson 19: what has happened to a run before the page looked: its facts, read once from the log,
 * in pages. Later facts come with the stream of events.
 *
 * Test: test/19-dashboard.run.view.test.ts
 */
import type { Api } from "../api.ts";
import type { Fact } from "../rows.ts";

export interface History {
  readonly facts: readonly Fact[];
  /** Why these are not all of them; empty: they are. */
  readonly note: string;
}

/** More is no list that a person reads. */
const MAX_FACTS = 20_000;
const PAGE = 5_000;

interface FactsPage {
  readonly facts: readonly Fact[];
  readonly next: number | null;
}

export async function readHistory(run: string, api: Pick<Api, "get">): Promise<History> {
  const facts: Fact[] = [];
  let next: number | null = 1;
  try {
    while (next !== null && facts.length < MAX_FACTS) {
      const path = `history/facts?run=${encodeURIComponent(run)}&from=${next}&limit=${PAGE}`;
      const page: FactsPage = await api.get(path);
      facts.push(...page.facts);
      next = page.next;
    }
  } catch (error) {
    return { facts, note: (error as Error).message };
  }
  if (next !== null) {
    const count = facts.length.toLocaleString();
    return { facts, note: `The first ${count} events, and those since this page was opened.` };
  }
  const isWhole = facts[0]?.type === "RunSubmitted";
  const note = "The log has been compacted: what came before is not in it any more.";
  return { facts, note: isWhole ? "" : note };
}

/** The history, and what the page has seen itself since then, each fact once. */
export function allFacts(
  run: string, history: History | undefined, live: readonly Fact[],
): readonly Fact[] {
  const own = (history?.facts ?? []).filter((fact) => fact.run === run);
  const last = own.at(-1)?.seq ?? -1;
  return [...own, ...live.filter(({ seq }) => seq > last)];
}
