/**
 * The package as its users get it: packed, installed into an empty folder, imported, type-checked
 * and run. Nothing here needs a network: what is installed is one tarball without dependencies.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { portableDeclaration } from "../scripts/lib/declarations.mjs";
import { ROOT } from "../scripts/bootstrap.mjs";
import { tempFolder, up } from "./cli.support.ts";

const TSC = join(ROOT, "node_modules", "typescript", "bin", "tsc");
const NAME = "titan-orchestrator";
/**
 * Every kind of consumer has to accept the declarations, and none may look into them for excuses.
 */
const STRICT = [
  "--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--skipLibCheck", "false",
  "--singleThreaded",
];
const RESOLUTIONS = [
  // Without the names of browsers, whose declarations are as many as all others together.
  ["--module", "nodenext", "--moduleResolution", "nodenext", "--lib", "es2022"],
  ["--module", "esnext", "--moduleResolution", "bundler"],
  // A reader's project may use this condition for its own sources.
  ["--module", "nodenext", "--moduleResolution", "nodenext", "--lib", "es2022",
    "--customConditions", "source"],
] as const;

/** The environment of somebody who has never heard of this checkout. */
const env = Object.fromEntries(
  Object.entries(process.env)
    .filter(([name]) => !/^(TITAN_|npm_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|CI$)/i.test(name)),
);
const home = tempFolder();
const installed = join(home, "node_modules", NAME);

before(() => {
  const packed = tempFolder();
  const run = (args: string[], cwd: string): string =>
    execFileSync("npm", args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  run(["pack", "--loglevel=error", "--pack-destination", packed], ROOT);
  const [tarball = ""] = readdirSync(packed);
  writeFileSync(join(home, "package.json"), '{ "name": "consumer", "type": "module" }\n');
  run(["install", "--offline", "--no-audit", "--no-fund", join(packed, tarball)], home);
});

function typeCheck(files: readonly string[], flags: readonly string[]): string {
  const types = ["--typeRoots", join(ROOT, "node_modules", "@types"), "--types", "node"];
  const args = [TSC, ...STRICT, ...types, ...flags, ...files];
  return spawnSync(process.execPath, args, { cwd: home, env, encoding: "utf8" }).stdout;
}

test("npm pack ships programs, declarations, sources and nothing of the workshop", () => {
  assert.deepEqual(
    readdirSync(installed).sort(),
    ["LICENSE", "README.md", "dist", "package.json", "src"],
  );
  const files = readdirSync(join(installed, "dist"), { recursive: true }).map(String);
  assert.deepEqual(files.filter((file) => /^\.|^sim/.test(file)), []);
  const maps = files.filter((file) => file.endsWith(".d.ts.map"));
  assert.ok(maps.length > 200, `${maps.length} maps`);
  for (const file of maps) {
    const path = join(installed, "dist", file);
    const { sources } = JSON.parse(readFileSync(path, "utf8")) as { sources: string[] };
    for (const source of sources) {
      assert.ok(existsSync(resolve(dirname(path), source)), `${file}: ${source}`);
    }
  }
});

test("package.json refuses an accidental publish, runs nothing on install " +
  "and needs nothing", () => {
  const text = readFileSync(join(installed, "package.json"), "utf8");
  const manifest = JSON.parse(text) as Record<string, object>;
  assert.equal(manifest["private"], true);
  assert.deepEqual(
    Object.keys(manifest).filter((key) => /^(peer|optional|bundle[d]?)?dependencies$/i.test(key)),
    [],
  );
  const scripts = Object.keys(manifest["scripts"]!)
    .filter((name) => /^(pre|post)?install$/.test(name));
  assert.deepEqual(scripts, []);
});

test("the installed titan runs a pipeline in a folder without a checkout", () => {
  writeFileSync(join(home, "hello.yaml"), "name: hello\njobs:\n  - { id: a, run: echo hello }\n");
  const args = ["--no-install", "titan", "run", "hello.yaml", "--embedded"];
  const { status, stderr, stdout } = spawnSync("npx", args, { cwd: home, env, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^hello-\w+ COMPLETED /m);
});

test("portableDeclaration() leaves no name that needs this project's package.json", () => {
  const imports = {
    "#host": { default: "./dist/host/mod.js" },
    "#core": { default: "./dist/master/core/mod.js" },
  };
  const text = 'import type { Host } from "#host";\nexport * from "./limits.ts";\n'
    + 'export declare const a: import("#core").State;\nimport "#nowhere";\n'
    + '// from "#hash" stays, as does "#host"\n';
  assert.equal(portableDeclaration(text, { file: "master/mod.d.ts", imports }),
    'import type { Host } from "../host/mod.js";\nexport * from "./limits.js";\n'
    + 'export declare const a: import("./core/mod.js").State;\nimport "#nowhere";\n'
    + '// from "#hash" stays, as does "#host"\n');
});

/** The programs of docs/sdk.md, in the order of the page. */
const page = readFileSync(join(ROOT, "docs", "sdk.md"), "utf8");
const programs = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, program]) => program!);

for (const flags of RESOLUTIONS) {
  test(`a program and those of docs/sdk.md type-check with ${flags.slice(2).join(" ")}`, () => {
    writeFileSync(join(home, "ten-lines.mts"), `
      import { connect, jobCounts, type RunInfo } from "${NAME}";
      import { connectStore } from "${NAME}/store";
      import { job, StepError } from "${NAME}/job";
      export const doubled: number = await job.step("double", 21, ({ idempotencyKey, usage }) => {
        usage({ tokensIn: idempotencyKey.length });
        return 42;
      }, { effect: "once" });
      // @ts-expect-error: no such effect
      await job.step("twice", 1, () => 1, { effect: "twice" });
      export const code: string = new StepError("GIVEN_UP", "no").code;
      const titan = await connect();
      const { run } = await titan.submit({ name: "n", jobs: [{ id: "a", run: "true" }] });
      export const ended: RunInfo = await titan.wait(run, { timeoutMs: 1000 });
      export const failed: number = jobCounts(ended).FAILED;
      export const n = await titan.result<number>(run, "a");
      titan.close();
      // @ts-expect-error: a job has no such key
      await titan.submit({ name: "n", jobs: [{ id: "a", script: "true" }] });
      export const store = await connectStore();
      // @ts-expect-error: the declarations are read, and are no "any"
      titan.nothing();
    `);
    programs.forEach((program, index) => writeFileSync(join(home, `doc-${index}.mts`), program));
    const documented = programs.map((_, index) => `doc-${index}.mts`);
    assert.equal(typeCheck(["ten-lines.mts", ...documented], flags), "");
  });
}

/** What each of them prints. */
const PRINTED = [
  "COMPLETED 42\n",
  "COMPLETED true\n",
  /^Cannot connect to the master at 127\.0\.0\.1:1: nobody listens there\n$/,
  /^true true\n\[ '.*must not be empty.*' \]\n$/,
  "1\nhello\n",
  "[ 'ask COMPLETED', 'ship COMPLETED' ]\n",
  "2 FAILED\n1\n5 [ 'a', 'more' ]\ntrue true 1\n1 0 0\ntrue true\ntrue 1 true\n",
  "SERVING\nhello\n[ 'web.2' ] 2 [ 'web', 'web.2' ]\n[ 'web' ] 0\n",
  /^6 [0-9a-f]{64}\nhello\n\[ 'greeting\.txt' \]\n$/,
  "1\n",
  "approved: about tides, about craters\n",
];

test("the programs of docs/sdk.md run without a checkout and print the right thing", async (t) => {
  assert.equal(programs.length, PRINTED.length);
  const main = join(installed, "dist", "cli", "main.js");
  const cluster = await up(["--workers", "1"], { cwd: home, main });
  t.after(() => cluster.kill("SIGTERM"));
  for (const [index, program] of programs.entries()) {
    writeFileSync(join(home, `doc-${index}.mjs`), program);
    const { master, store } = cluster.ready;
    const variables = { ...env, TITAN_MASTER: master, TITAN_STORE: store, NO_COLOR: "1" };
    const options = { cwd: home, env: variables, timeout: 20_000 };
    const node = (words: string[]) => promisify(execFile)(process.execPath, words, options);
    const isJob = program.includes(`"${NAME}/job"`);
    if (isJob) {
      const yaml = `name: doc\njobs:\n  - { id: a, file: doc-${index}.mjs }\n`;
      writeFileSync(join(home, "doc.yaml"), yaml);
      await node([main, "run", "doc.yaml"]);
    }
    const words = isJob ? [main, "logs", "doc/a"] : [`doc-${index}.mjs`];
    const { stdout } = await node(words);
    const expected = PRINTED[index]!;
    if (typeof expected === "string") assert.equal(stdout, expected, program);
    else assert.match(stdout, expected, program);
  }
});
