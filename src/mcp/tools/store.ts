/**
 * Lesson 20: the store that jobs share, and files that outlive their runs.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { artifactJson, boolean, integer, orNull, text } from "#rows";
import { personOf } from "../caller.ts";
import { findRun } from "../names.ts";
import { isRpcError } from "../rpc-error.ts";
import {
  fields, READS, REPLACES, textOf, ToolProblem, words, type Tool, type ToolContext,
} from "./tool.ts";

/** Of a value or a file. Longer ones are for programs. */
const MAX_TEXT_CHARS = 20_000;
/** What the first Titan says of a key that is not there. */
const NOTHING = "NULL";
const SCRIPT = /^[\w][\w.-]*\.py$/;

export const storeGet: Tool = {
  name: "store_get", title: "Read a key", ...READS,
  description: "Returns the value of a key of the cluster's store, or NULL.",
  input: fields({ key: words("The key.", { minLength: 1 }) }),
  output: fields({ key: text, value: text, found: boolean, truncated: boolean }),
  async run(args, { titan }) {
    const key = textOf(args, "key")!;
    const found = await titan.kv("GET", key);
    const whole = found === null ? NOTHING : String(found);
    const value = whole.slice(0, MAX_TEXT_CHARS);
    const truncated = value.length < whole.length;
    const more = truncated ? `\n(the first ${value.length} of ${whole.length} characters)` : "";
    return {
      text: found === null ? `There is no key "${key}".` : `${key} = ${value}${more}`,
      data: { key, value, found: found !== null, truncated }, isLong: value.length > 1000,
    };
  },
};

export const storePut: Tool = {
  name: "store_put", title: "Write a key", ...REPLACES,
  description: "Sets a key of the cluster's store, which all jobs can read. Replaces its value.",
  input: fields({ key: words("The key.", { minLength: 1 }), value: words("Its value.") }),
  output: fields({ status: text, key: text, master_response: text }),
  async run(args, { titan }) {
    const key = textOf(args, "key")!;
    const answer = String(await titan.kv("SET", key, textOf(args, "value")!));
    return { text: `${key} is set.`, data: { status: "ok", key, master_response: answer } };
  },
};

export const deployScript: Tool = {
  name: "deploy_script",
  title: "Keep a script",
  ...REPLACES,
  description:
    "Keeps a Python script on the cluster by its name, until somebody removes it. Jobs " +
    "get it with: titan artifact get NAME.",
  input: fields({
    script_name: words("Its name: letters, digits, . _ - and .py at the end."),
    script_content: words("The whole script."),
  }),
  output: fields({ status: text, script_name: text, master_response: text, bytes: integer }),
  async run(args, { titan, caller }) {
    const name = textOf(args, "script_name")!;
    if (!SCRIPT.test(name)) {
      const wanted = "letters, digits, . _ - with .py at the end, and no folder";
      throw new ToolProblem(`Cannot keep script "${name}": its name must be ${wanted}`);
    }
    const content = Buffer.from(textOf(args, "script_content")!);
    await titan.putArtifact(name, content, { keep: true, by: personOf(caller) });
    return {
      text:
        `${name} is kept (${content.length} bytes). A job reads it with: titan artifact get ` +
        `${name}`,
      data: {
        status: "deployed",
        script_name: name,
        master_response: "DEPLOY_SUCCESS",
        bytes: content.length,
      },
    };
  },
};

export const getArtifact: Tool = {
  name: "get_artifact",
  title: "Read a file",
  ...READS,
  description:
    "Returns a file that a run has handed on (name it JOB/PATH, with run), or one that " +
    "is kept by its name alone. Text of at most 20,000 characters; of other files only what they " +
    "are.",
  input: fields({
    name: words("Its name: JOB/PATH for what a job lists in outputs."),
    "run?": words("The run that it belongs to. Without it: a kept one."),
  }),
  output: fields({
    name: text,
    run: orNull(text),
    size: integer,
    sha256: text,
    content: orNull(text),
    truncated: boolean,
  }),
  async run(args, { titan }) {
    const name = textOf(args, "name")!;
    const typed = textOf(args, "run");
    const run = typed === undefined ? undefined : await findRun(titan, typed);
    const { info, bytes } = await titan
      .getArtifact(name, { run, orKept: run !== undefined })
      .catch(async (error: unknown) => {
        if (!isRpcError(error, "NOT_FOUND")) throw error;
        throw new ToolProblem(`${error.message}. ${await thereAre(run, titan)}`);
      });
    const { content, truncated } = await headOf(bytes);
    const row = artifactJson(info) as { run: string | null; size: number; sha256: string };
    const { size, sha256 } = row;
    const what = `${name} (${size} bytes)`;
    const said =
      content === null
        ? `${what} is no text: ask the person to get it with ` +
          `titan artifact get ${name}${run === undefined ? "" : ` --run ${run}`}`
        : `${what}${truncated ? `, its first ${content.length} characters` : ""}:\n${content}`;
    return {
      text: said,
      data: { name, run: row.run, size, sha256, content, truncated },
      isLong: true,
    };
  },
};

/** The beginning as text; null: it is no text. The rest is not fetched. */
async function headOf(
  bytes: AsyncIterable<Buffer>,
): Promise<{ content: string | null; truncated: boolean }> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let content = "";
  try {
    for await (const piece of bytes) {
      content += decoder.decode(piece, { stream: true });
      if (content.length > MAX_TEXT_CHARS) {
        return { content: content.slice(0, MAX_TEXT_CHARS), truncated: true };
      }
    }
    return { content: content + decoder.decode(), truncated: false };
  } catch (error) {
    if (error instanceof TypeError) return { content: null, truncated: false };
    throw error;
  }
}

async function thereAre(run: string | undefined, titan: ToolContext["titan"]): Promise<string> {
  const all = await titan.artifacts(run === undefined ? { kept: true } : { run });
  const names = all.slice(0, 20).map(({ name }) => name).join(", ");
  const where = run === undefined ? "are kept by name" : `belong to ${run}`;
  return names === "" ? `No files ${where}.` : `These ${where}: ${names}`;
}
