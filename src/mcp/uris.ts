/**
 * Lesson 20: the names of resources.
 *
 *     titan://pipelines/schema
 *     titan://runs/{run}
 *     titan://runs/{run}/jobs/{job}/log
 *
 * A part is encoded as in any URI, so that a job's name may have a slash in it.
 *
 * Test: test/20-mcp.test.ts
 */

export const SCHEMA_URI = "titan://pipelines/schema";

export type Place =
  | { readonly type: "schema"; readonly run?: undefined }
  | { readonly type: "run"; readonly run: string }
  | { readonly type: "log"; readonly run: string; readonly job: string };

/** Undefined: no resource is called so. */
export function parseUri(uri: string): Place | undefined {
  if (uri === SCHEMA_URI) return { type: "schema" };
  const found = /^titan:\/\/runs\/([^/?#]+)(?:\/jobs\/([^/?#]+)\/log)?$/.exec(uri);
  if (found === null) return undefined;
  try {
    const [run, job] = found.slice(1).map((part) => part && decodeURIComponent(part));
    return job === undefined ? { type: "run", run: run! } : { type: "log", run: run!, job };
  } catch {
    return undefined; // a % that encodes nothing
  }
}

export function runUri(run: string): string {
  return `titan://runs/${encodeURIComponent(run)}`;
}

export function logUri(run: string, job: string): string {
  return `${runUri(run)}/jobs/${encodeURIComponent(job)}/log`;
}
