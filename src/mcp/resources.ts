/**
 * Lesson 20: what can be read without a tool: a run, the output of a job, and the keys of a
 * pipeline.
 *
 * Test: test/20-mcp.test.ts
 */
import type { Host } from "#host";
import { jobJson, runJson } from "#rows";
import type { Client } from "#sdk";
import { CODES, RpcFailure, type Params } from "./json-rpc.ts";
import { readPage } from "./output-text.ts";
import { PIPELINE_SCHEMA } from "./pipeline-schema.ts";
import { isRpcError } from "./rpc-error.ts";
import { parseUri, runUri, SCHEMA_URI, type Place } from "./uris.ts";

/** The newest runs. Others can be read by their names all the same. */
const MAX_LISTED = 50;
/** Of a log that is read whole; it is cut by characters long before. */
const ALL_LINES = 1_000_000;

export const TEMPLATES = {
  resourceTemplates: [
    {
      uriTemplate: "titan://runs/{run}", name: "run", title: "A run and its jobs",
      mimeType: "application/json",
    },
    {
      uriTemplate: "titan://runs/{run}/jobs/{job}/log", name: "log",
      title: "The last output of a job", mimeType: "text/plain",
    },
  ],
};

export async function listResources(titan: Client): Promise<object> {
  const runs = (await titan.runs()).reverse().slice(0, MAX_LISTED);
  return {
    resources: [
      {
        uri: SCHEMA_URI, name: "schema", title: "Every key of a pipeline",
        mimeType: "application/schema+json",
      },
      ...runs.map(({ id, status }) => ({
        uri: runUri(id), name: id, title: `${id} (${status})`, mimeType: "application/json",
      })),
    ],
  };
}

/** @throws {RpcFailure} */
export async function readResource(
  titan: Client, host: Host, { uri }: Params,
): Promise<object> {
  const place = typeof uri === "string" ? parseUri(uri) : undefined;
  const gone = (why: string): RpcFailure => new RpcFailure(CODES.INVALID_PARAMS,
    `Cannot read resource ${JSON.stringify(uri)?.slice(0, 300)}: ${why}`, { uri });
  if (place === undefined) throw gone("there is none of this name");
  try {
    return { contents: [{ uri, ...(await contentOf(place, titan, host)) }] };
  } catch (error) {
    if (isRpcError(error, "NOT_FOUND")) throw gone(error.message);
    throw error;
  }
}

async function contentOf(
  place: Place, titan: Client, host: Host,
): Promise<{ mimeType: string; text: string }> {
  if (place.type === "schema") {
    return { mimeType: "application/schema+json", text: JSON.stringify(PIPELINE_SCHEMA) };
  }
  if (place.type === "log") {
    await titan.status(place.run, place.job); // an unknown job is an error, and no empty text
    const wish = { tail: ALL_LINES, from: undefined, pick: undefined };
    const { lines, truncated } = await readPage(titan.logs(place.run, place.job), wish, true);
    const head = truncated ? ["… (earlier lines are left out)"] : [];
    return { mimeType: "text/plain", text: [...head, ...lines].join("\n") };
  }
  const { run, jobs } = await titan.status(place.run);
  const ids = jobs.map(({ id }) => id);
  const now = host.clock.wall();
  const rows = jobs.map((job) => jobJson(job, job.dependsOn.map((at) => ids[at]!), now));
  return { mimeType: "application/json", text: JSON.stringify({ run: runJson(run), jobs: rows }) };
}
