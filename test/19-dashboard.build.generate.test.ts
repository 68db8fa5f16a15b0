/** Chapter 19: the constructor's programs in TypeScript and Python are the pipeline of the YAML. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { definePipeline, KNOWN_KEYS, parsePipeline, type PipelineDefinition } from "#pipeline";
import { pipeline } from "#sdk";
import { Prng } from "#simulation";
import { isDocument, readDocument } from "../src/dashboard/page/build/document.ts";
import { FIELDS } from "../src/dashboard/page/build/fields.ts";
import { toPython } from "../src/dashboard/page/build/python.ts";
import { toTypeScript } from "../src/dashboard/page/build/typescript.ts";
import { pipelineValue } from "../src/dashboard/page/build/values.ts";
import { FIELD_KEYS, GATE_KEYS, NOTIFY_KEYS } from "../src/pipeline/gate.ts";
import { pipelineOf, written } from "./19-dashboard.build.support.ts";

function valueOf(text: string): Record<string, unknown> {
  const read = readDocument(text);
  assert.ok(isDocument(read), text);
  return pipelineValue(read.root);
}

function bare({ warnings: _, ...definition }: PipelineDefinition): object {
  return definition;
}

/** What the program builds, found out by running it without its imports. */
function run(program: string): unknown {
  const [, body, name] = /^const (\w+) = ([\s\S]*?;)\n\nconst titan = /m.exec(program) ?? [];
  assert.ok(body !== undefined && name !== undefined, program);
  const build = new Function("pipeline", `return ${name}`) as (made: typeof pipeline) => unknown;
  return build(pipeline);
}

test("2,000 pipelines are the same as text, as a value and as a program in TypeScript", () => {
  for (let seed = 1; seed <= 2000; seed++) {
    const d = new Prng(seed);
    const text = written(d, pipelineOf(d, 4));
    const value = valueOf(text);
    // As JSON: a deep comparison of two thousand definitions takes most of the time.
    const wanted = JSON.stringify(bare(parsePipeline(text)));
    assert.equal(JSON.stringify(bare(definePipeline(value))), wanted, text);
    const program = toTypeScript(value);
    const made = run(program) as { definition: PipelineDefinition };
    assert.equal(JSON.stringify(bare(made.definition)), wanted, `${text}\n${program}`);
  }
});

test("a text that only looks like a number stays a text, and a field decides " +
  "which is which", () => {
  const text = "name: n\nversion: 1.10\njobs:\n" +
    "  - id: 12\n    call: titan:echo\n    input: {a: 1.0, b: yes, \"__proto__\": 2}\n" +
    "    env: {A: 012, B: no, C: 1e3, D: True}\n    priority: 1e1\n    timeout: 1.50\n" +
    "  - {id: web, type: service, run: x, healthcheck: {tcp: , interval: 3}, restart: never}\n" +
    "  - {id: b, run: y, needs: 12, affinity: true, x-note: mine}\n";
  const value = valueOf(text);
  assert.equal(JSON.stringify(value).includes("x-note"), false);
  assert.deepEqual(bare(definePipeline(value)), bare(parsePipeline(text)));
  const made = run(toTypeScript(value)) as { definition: PipelineDefinition };
  assert.deepEqual(bare(made.definition), bare(parsePipeline(text)));
});

test("the table of fields has the keys that the reader knows", () => {
  const keys = (level: keyof typeof FIELDS): string[] => FIELDS[level].map(({ key }) => key).sort();
  for (const level of Object.keys(KNOWN_KEYS) as (keyof typeof KNOWN_KEYS)[]) {
    assert.deepEqual(keys(level), [...KNOWN_KEYS[level]].sort(), level);
  }
  assert.deepEqual(keys("hitl"), [...GATE_KEYS].sort());
  assert.deepEqual(keys("notify"), [...NOTIFY_KEYS].sort());
  assert.deepEqual(keys("form"), [...FIELD_KEYS].sort());
  const page = readFileSync("docs/pipelines.md", "utf8");
  for (const { key, choices = [] } of FIELDS.job) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${key}\` |`));
    assert.ok(row !== undefined, `docs/pipelines.md has no ${key}`);
    for (const word of choices) assert.ok(row.includes(word), `${key}: ${word}`);
  }
});

test("programs in Python run and give the same specification as TypeScript's", () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-build-"));
  try {
    const cases = Array.from({ length: 60 }, (_, at) => {
      const d = new Prng(at + 1);
      return valueOf(written(d, pipelineOf(d, 4)));
    });
    const odd = { id: "odd", run: "x", needs: ["a"], with: 1, "a-b": 2 };
    const programs = [...cases, { name: "odd", jobs: [odd] }].map(toPython);
    writeFileSync(join(folder, "programs.json"), JSON.stringify(programs));
    const read =
      "import json, sys, os; sys.path.insert(0, 'src/sdk/python')\n" +
      "found = []\n" +
      `file = os.path.join(${JSON.stringify(folder)}, 'programs.json')\n` +
      "for program in json.load(open(file)):\n" +
      "    scope = {'__name__': 'test'}; exec(program, scope)\n" +
      "    found.append(scope['work'].definition)\n" +
      "import titan\n" +
      "for made in found[:-1]: titan.spec_of(made)\n" +
      "print(json.dumps(found))\n";
    const found = JSON.parse(
      execFileSync("python3", ["-c", read], { encoding: "utf8" }),
    ) as unknown[];
    for (const [at, value] of cases.entries()) {
      assert.deepEqual(bare(definePipeline(found[at])), bare(definePipeline(value)), programs[at]);
    }
    assert.deepEqual(found.at(-1), { name: "odd", jobs: [odd] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("titan.py knows every key that a program in Python may have", () => {
  const sdk = readFileSync("src/sdk/python/titan.py", "utf8");
  const known = /JOB_KEYS = \(([^)]*)\)/.exec(sdk)![1]! + /"name version[^"]*"/.exec(sdk)![0];
  for (const { key } of [...FIELDS.job, ...FIELDS.pipeline]) {
    assert.match(known, new RegExp(`\\b${key}\\b`), key);
  }
});

test("programs in TypeScript satisfy the types of the SDK", () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-types-"));
  const root = join(import.meta.dirname, "..");
  try {
    for (let seed = 1; seed <= 40; seed++) {
      const d = new Prng(seed);
      const program = toTypeScript(valueOf(written(d, pipelineOf(d))));
      writeFileSync(join(folder, `p${seed}.ts`), program);
    }
    writeFileSync(join(folder, "package.json"), '{"type": "module"}');
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: true, rootDir: "/", typeRoots: [join(root, "node_modules/@types")],
        paths: { "titan-orchestrator": [join(root, "src/sdk/mod.ts")] },
      },
      include: ["*.ts"],
    }));
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
  } catch (error) {
    assert.fail((error as { stdout?: string }).stdout ?? String(error));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
