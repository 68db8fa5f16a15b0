/**
 * Lesson 19: artifacts. Their bytes are downloads: a browser shows nothing of them.
 *
 * Test: test/http.routes.test.ts
 */
import { artifactJson, boolean, integer, list, object, shapes, text } from "#rows";
import { Download, type Asked, type Route } from "./route.ts";

const BYTES = "application/octet-stream";
const RUN = "of this run; without it, kept by its name";

export const FILES: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/artifacts", summary: "Artifacts, the oldest first.",
    query: { run: "only those of this run", kept: "1: only those that are kept by their names" },
    answer: list(shapes.artifact), run: listed,
  },
  {
    method: "GET", path: "/api/v1/artifacts/{name}", summary: "The bytes of one, as a download.",
    query: { run: RUN }, type: BYTES, run: downloaded,
  },
  {
    method: "POST", path: "/api/v1/artifacts/{name}/remove", summary: "Removes one.",
    query: { run: RUN }, body: object({ "by?": text }),
    answer: object({
      removed: list(shapes.artifact), more: boolean, freedBytes: integer, usedBytes: integer,
      maxBytes: integer,
    }),
    run: removed,
  },
];

async function listed({ client, query }: Asked): Promise<object[]> {
  const run = query.get("run") ?? undefined;
  const kept = query.get("kept") === "1";
  const found = await client.artifacts({ ...(run !== undefined && { run }), kept });
  return found.map(artifactJson);
}

async function downloaded({ client, path, query }: Asked): Promise<Download> {
  const name = path["name"]!;
  const { bytes } = await client.getArtifact(name, { run: query.get("run") ?? undefined });
  return new Download(name.slice(name.lastIndexOf("/") + 1), BYTES, bytes);
}

async function removed({ client, path, query, body }: Asked): Promise<object> {
  const by = (body as { by?: string }).by;
  const from = { run: query.get("run") ?? undefined, ...(by !== undefined && { by }) };
  const { artifacts, ...sums } = await client.removeArtifact(path["name"]!, from);
  return { removed: artifacts.map(artifactJson), ...sums };
}
