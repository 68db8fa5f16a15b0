/**
 * Lesson 20: somebody wants to know when a resource changes. Runs change; the schema does not.
 *
 * A watch of the run (lesson 10) says when. A hundred changes in a moment are one notification: it
 * has no content, and the client reads what there is by then.
 *
 * Invariants: a notification follows the last change within QUIET_MS; nobody's going away ends a
 * run.
 * Test: test/20-mcp.test.ts
 */
import type { Dispatcher } from "./dispatch.ts";
import { CODES, isObject, RpcFailure } from "./json-rpc.ts";
import { parseUri } from "./uris.ts";

/** Of one subscription. A person looks at fewer runs at a time. */
export const MAX_URIS = 100;
/** Changes within this are told once. */
const QUIET_MS = 200;

/** @throws {RpcFailure} */
export function readUri(uri: unknown): string {
  if (typeof uri === "string" && parseUri(uri) !== undefined) return uri;
  throw new RpcFailure(CODES.INVALID_PARAMS,
    `Cannot find resource ${JSON.stringify(uri)?.slice(0, 200)}: there is none of this name`,
    { uri });
}

/** The part of a filter that we can do: notifications of other kinds never come. */
export function readFilter(
  filter: unknown,
): { readonly uris: readonly string[]; readonly notifications: object } {
  if (!isObject(filter)) {
    throw new RpcFailure(CODES.INVALID_PARAMS, "Cannot listen: params.notifications is no object");
  }
  const { resourceSubscriptions: wanted = [] } = filter;
  if (!Array.isArray(wanted) || wanted.length > MAX_URIS) {
    const why = `resourceSubscriptions must be a list of at most ${MAX_URIS}`;
    throw new RpcFailure(CODES.INVALID_PARAMS, `Cannot listen: ${why}`);
  }
  const uris = [...new Set(wanted.map(readUri))];
  return { uris, notifications: uris.length === 0 ? {} : { resourceSubscriptions: uris } };
}

export interface Watching {
  readonly uris: readonly string[];
  readonly signal: AbortSignal;
  readonly changed: (uri: string) => void;
}

/** Resolves once the signal is aborted, and not before: also when all runs have ended. */
export async function watchResources(dispatcher: Dispatcher, watching: Watching): Promise<void> {
  const { uris, signal } = watching;
  const byRun = new Map<string, string[]>();
  for (const uri of uris) {
    const { run } = parseUri(uri)!;
    if (run !== undefined) byRun.set(run, [...(byRun.get(run) ?? []), uri]);
  }
  for (const [run, names] of byRun) {
    // A run that is not there never changes.
    void watchRun(dispatcher, run, { ...watching, uris: names }).catch(() => undefined);
  }
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function watchRun(
  dispatcher: Dispatcher, run: string, { uris, signal, changed }: Watching,
): Promise<void> {
  const titan = await dispatcher.session();
  let isFirst = true;
  let isComing = false;
  const tell = (): void => {
    isComing = false;
    if (!signal.aborted) uris.forEach(changed);
  };
  const onEvent = (): void => {
    const isNews = !isFirst;
    isFirst = false;
    if (!isNews || isComing) return;
    isComing = true;
    dispatcher.host.timers.after(QUIET_MS, tell);
  };
  await titan.wait(run, { signal, toEnd: true, onEvent });
}
