/**
 * Lesson 19: a pipeline as it comes over HTTP: its text, or a text with the files that its jobs
 * name.
 *
 *     application/yaml, application/json    the pipeline
 *     application/json                      {"pipeline": "name: …", "files": {"a.py": "print(1)"}}
 *
 * A browser has no folder to ship. It has texts, and they are packed here as `titan run` packs a
 * folder. `projectOf` names a run whose folder the master has already.
 *
 * Left out: files that are no text. They are beside a pipeline file, which `titan run` takes.
 * Test: test/http.submission.test.ts
 */
import { didYouMean } from "#base";
import {
  definePipeline, parsePipeline, type PipelineDefinition, type ProjectFiles,
} from "#pipeline";
import { ArchiveError, packFiles } from "#project";
import { mapOf, mismatch, object, text } from "#rows";
import { toSpec, type SubmitOptions } from "#sdk";
import { HttpError, type Asked } from "./route.ts";

export const PIPELINE = ["application/yaml", "application/json"] as const;

const WITH_FILES = object({ pipeline: text, "files?": mapOf(text), "projectOf?": text });

export interface Submission {
  readonly definition: PipelineDefinition;
  /** Texts by their paths. */
  readonly files: Readonly<Record<string, string>>;
  /** A run whose folder is to be used again. */
  readonly projectOf: string | undefined;
}

/** @throws {HttpError} 400 @throws {PipelineError} */
export function submissionOf({ bytes, contentType }: Asked): Submission {
  const source = bytes.toString("utf8");
  const none = { files: {}, projectOf: undefined };
  if (contentType !== "application/json") {
    return { definition: parsePipeline(source, { file: "body" }), ...none };
  }
  const value = jsonOf(source);
  const hasFiles = typeof value === "object" && value !== null && Object.hasOwn(value, "pipeline");
  if (!hasFiles) return { definition: definePipeline(value, { file: "body" }), ...none };
  const wrong = mismatch(WITH_FILES, value, "body");
  if (wrong !== undefined) throw new HttpError(400, "BAD_REQUEST", `Cannot use the body: ${wrong}`);
  const { pipeline, files = {}, projectOf } = value as {
    pipeline: string; files?: Record<string, string>; projectOf?: string;
  };
  // The folder of another run has files that nobody has listed here.
  const project = projectOf === undefined ? lookIn(files) : undefined;
  return { definition: parsePipeline(pipeline, { file: "body", project }), files, projectOf };
}

function jsonOf(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    const found = (error as Error).message;
    throw new HttpError(400, "BAD_REQUEST", `Cannot read the body as JSON: ${found}`);
  }
}

/** These files as the folder around the pipeline. */
function lookIn(files: Readonly<Record<string, string>>): ProjectFiles {
  const paths = Object.keys(files);
  return {
    look(path) {
      if (Object.hasOwn(files, path)) return "file";
      return paths.some((each) => each.startsWith(`${path}/`)) ? "folder" : "missing";
    },
    meantFile(path) {
      const base = path.slice(path.lastIndexOf("/") + 1);
      return paths.find((each) => each === base || each.endsWith(`/${base}`)) ??
        didYouMean(path, paths);
    },
  };
}

/** @throws {HttpError} 422 @throws {RpcError} */
export async function submit(asked: Asked, options: SubmitOptions): Promise<object> {
  const { definition, files, projectOf } = submissionOf(asked);
  const project = await projectFor(asked, { files, projectOf });
  const named = definition.jobs.find(({ action }) => action.type === "file");
  if (project === undefined && (named !== undefined || definition.projectWritten === true)) {
    const what = named === undefined ? "it says project: true" : `job "${named.id}" names a file`;
    throw new HttpError(422, "INVALID", `Cannot submit pipeline "${definition.name}" without its ` +
      `folder: ${what}; send the files with it, or use titan run, which ships a folder`);
  }
  return asked.client.submitSpec(toSpec(definition, { project, deploy: options.deploy }), options);
}

/** The name of the packed files in a spec. */
async function projectFor(
  { client, host }: Asked, { files, projectOf }: Pick<Submission, "files" | "projectOf">,
): Promise<string | undefined> {
  const packed = Object.entries(files).map(([path, content]) =>
    ({ path, content: Buffer.from(content), executable: content.startsWith("#!") }));
  if (packed.length === 0) {
    return projectOf === undefined ? undefined : (await client.definition(projectOf)).project;
  }
  if (projectOf !== undefined) {
    throw new HttpError(422, "INVALID",
      "Cannot submit files together with projectOf: a run has one folder");
  }
  try {
    return await client.shipPacked(await packFiles(host, packed));
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    throw new HttpError(422, "INVALID", error.message);
  }
}
