/** Pipelines over HTTP with the files that their jobs name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost } from "#host";
import { PipelineError } from "#pipeline";
import { packFiles } from "#project";
import type { Client } from "#sdk";
import type { PipelineSpec } from "#wire";
import { submissionOf, submit } from "../src/http/submission.ts";
import { HttpError, type Asked } from "../src/http/route.ts";

const YAML = "name: p\njobs:\n  - {id: a, file: scripts/a.py}\n  - {id: b, call: 'm.js#f'}\n";
const shipped: string[] = [];
const specs: PipelineSpec[] = [];

const client = {
  shipPacked: async ({ hash }: { hash: string }) => (shipped.push(hash), hash),
  submitSpec: async (spec: PipelineSpec) => (specs.push(spec), { run: "p-1" }),
  definition: async () => ({ project: "of-run" }),
} as unknown as Client;

function asked(body: unknown, contentType = "application/json"): Asked {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { client, host: nodeHost(), bytes: Buffer.from(text), contentType } as unknown as Asked;
}

const problems = (body: unknown): string[] => {
  try {
    submissionOf(asked(body));
    return [];
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error.problems.map(({ message, line }) => `${line}: ${message}`);
  }
};

test("files that jobs name are looked for among those that came along", () => {
  assert.deepEqual(problems({ pipeline: YAML, files: { "scripts/a.py": "", "m.js": "" } }), []);
  assert.deepEqual(problems({ pipeline: YAML, files: { "a.py": "", "m.js/x": "" } }), [
    '3: "file" in job "a": there is no scripts/a.py in the project folder (did you mean "a.py"?)',
    '4: "call" in job "b": m.js is a folder',
  ]);
  assert.equal(problems({ pipeline: YAML }).length, 2);
  assert.deepEqual(problems({ pipeline: YAML, projectOf: "r-1" }), []);
  assert.deepEqual(submissionOf(asked({ name: "j", jobs: [{ id: "a", run: "x" }] })).files, {});
  assert.equal(submissionOf(asked(YAML, "application/yaml")).definition.name, "p");
});

test("files are packed and shipped; a run's folder is used again", async () => {
  const files = { "scripts/a.py": "print(1)\n", "m.js": "#!/usr/bin/env node\n" };
  assert.deepEqual(await submit(asked({ pipeline: YAML, files }), {}), { run: "p-1" });
  const { hash } = await packFiles(nodeHost(), [
    { path: "scripts/a.py", content: Buffer.from("print(1)\n"), executable: false },
    { path: "m.js", content: Buffer.from("#!/usr/bin/env node\n"), executable: true },
  ]);
  assert.deepEqual([shipped, specs[0]!.project], [[hash], hash]);
  await submit(asked({ pipeline: YAML, projectOf: "p-1" }), {});
  assert.deepEqual([shipped.length, specs[1]!.project], [1, "of-run"]);
});

test("what cannot be packed is refused in words", async () => {
  const refused = async (body: unknown, status: number, why: RegExp, type?: string):
  Promise<void> => {
    await assert.rejects(async () => submit(asked(body, type), {}), (error) => {
      assert.ok(error instanceof HttpError, String(error));
      assert.equal(error.status, status);
      assert.match(error.message, why);
      return true;
    });
  };
  await refused(YAML, 422, /without its folder.*send the files with it/, "application/yaml");
  const pipeline = "name: p\njobs: [{id: a, run: x}]";
  await refused({ pipeline, files: { "../a": "" } }, 422, /Cannot pack "\.\.\/a"/);
  await refused({ pipeline, files: { a: "" }, projectOf: "r" }, 422, /one folder/);
  await refused({ pipeline, files: { a: 7 } }, 400, /body\.files\.a: must be string/);
  await refused({ pipeline, more: 1 }, 400, /body\.more: is not known/);
  await refused("{", 400, /as JSON/);
  const twice = { pipeline, files: { a: "", "a/b": "" } };
  await refused(twice, 422, /there is twice|twice/);
});
