/**
 * Rules that no test checks drift, so the project's rules are tests: layers, the one door for
 * nondeterminism, no dependencies, complete triples, file sizes. Each check is a function from
 * texts to complaints, so that the tests below can also show it a text that is wrong.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import {
  codeOf, files, findCycle, importsOf, pkg, read, ROOT, sources, subsystemOf, type Import,
} from "./style.support.ts";

/** The layer of every subsystem, and the layers it may import besides its own. */
const LAYERS: readonly { readonly names: readonly string[]; readonly may: readonly number[] }[] = [
  { names: ["base"], may: [] },
  {
    names: [
      "framing",
      "codec",
      "dag",
      "queue",
      "routing",
      "retry",
      "membership",
      "scaling",
      "services",
      "yaml",
      "pipeline",
      "cron",
      "expr",
      "layout",
      "wire",
      "packaging",
    ],
    may: [0],
  },
  { names: ["host"], may: [0] },
  { names: ["rpc", "tunnel", "log", "process", "project", "exec"], may: [0, 1, 2] },
  { names: ["core", "gates"], may: [0, 1] },
  { names: ["master", "worker", "store", "cluster", "backup", "history"], may: [0, 1, 2, 3, 4] },
  {
    names: ["rows", "calls", "sdk", "agent", "http", "dashboard", "mcp", "dialect", "cli"],
    may: [0, 1, 2, 3, 4, 5],
  },
  { names: ["simhost", "simulation", "raft", "security"], may: [0, 1, 2, 3, 4, 5, 6] },
];
const layerOf = (name: string): number => LAYERS.findIndex(({ names }) => names.includes(name));

/** What is wrong with one import, if anything. */
function judgeImport(file: string, { specifier, line }: Import): string | undefined {
  const from = subsystemOf(file);
  const at = `${file}:${line} imports ${specifier}`;
  if (specifier.startsWith(".")) {
    const target = join(dirname(file), specifier);
    if (subsystemOf(target) === from && target.startsWith("src/")) {
      return specifier.endsWith(".ts") ? undefined : `${at}: a relative import ends in .ts`;
    }
    return (
      `${at}: a relative import stays inside its subsystem; use ` +
      `#${subsystemOf(target) ?? "name"}`
    );
  }
  if (specifier.startsWith("node:")) return undefined;
  if (!specifier.startsWith("#")) return `${at}: there are no dependencies`;
  const to = specifier.slice(1);
  if (!Object.hasOwn(pkg.imports, specifier)) return `${at}: package.json does not define it`;
  if (from === undefined) return `${at}: the file belongs to no subsystem`;
  if (to === from) return `${at}: inside a subsystem, imports are relative`;
  const [low, high] = [layerOf(to), layerOf(from)];
  if (low === high || LAYERS[high]?.may.includes(low)) return undefined;
  return `${at}: layer ${high} (${from}) may not import layer ${low} (${to})`;
}

test("imports point down the layers, go through #name, and nowhere else", () => {
  const wrong = sources
    .flatMap((file) => importsOf(read(file)).map((found) => judgeImport(file, found)))
    .filter(Boolean);
  assert.deepEqual(wrong, []);
});

test("judgeImport() names the offending edge", () => {
  const judge = (file: string, specifier: string): string =>
    judgeImport(file, { specifier, line: 1 }) ?? "";
  assert.match(judge("src/dag/mod.ts", "#host"), /layer 1 \(dag\) may not import layer 2 \(host\)/);
  assert.match(
    judge("src/master/core/decide.ts", "#log"),
    /layer 4 \(core\) may not import layer 3 \(log\)/,
  );
  assert.match(judge("src/log/mod.ts", "#cli"), /may not import layer 6/);
  assert.match(judge("src/log/mod.ts", "../host/mod.ts"), /use #host/);
  assert.match(judge("src/master/mod.ts", "./core/mod.ts"), /use #core/);
  assert.match(judge("src/log/mod.ts", "left-pad"), /no dependencies/);
  assert.match(judge("src/log/mod.ts", "#logs"), /does not define/);
  assert.match(judge("src/log/mod.ts", "#log"), /relative/);
  assert.equal(judge("src/log/mod.ts", "#host"), "");
  assert.equal(judge("src/log/mod.ts", "./record.ts"), "");
});

test("a command that prints a list loads what asks a master, and not what makes a run", () => {
  const narrow = new Set(["#base", "#host", "#rpc", "#wire"]);
  const calls = sources.filter((file) => subsystemOf(file) === "calls");
  assert.ok(calls.length > 3);
  const wide = calls.flatMap((file) => importsOf(read(file))
    .filter(({ specifier }) => /^#|^node:/.test(specifier) && !narrow.has(specifier))
    .map(({ specifier, line }) => `${file}:${line} imports ${specifier}`));
  // `import type` is gone when it runs.
  const names = "agents dead decide gates graph pools runs services status";
  const lists = names.split(" ").map((name) => `src/cli/commands/${name}.ts`)
    .filter((file) => /^import \{[^}]*\} from "#(?:sdk|project|pipeline)"|openClient/m.test(
      read(file)));
  assert.deepEqual([...wide, ...lists], []);
});

test("subsystems import one another without cycles", () => {
  const edges = new Map<string, Set<string>>();
  for (const file of sources) {
    const from = subsystemOf(file) ?? file;
    const to = edges.get(from) ?? new Set();
    for (const { specifier } of importsOf(read(file))) {
      if (specifier.startsWith("#")) to.add(specifier.slice(1));
    }
    edges.set(from, to);
  }
  assert.equal(findCycle(edges)?.join(" -> "), undefined);
  assert.deepEqual(
    findCycle(
      new Map([
        ["a", new Set(["b"])],
        ["b", new Set(["a"])],
      ]),
    ),
    ["a", "b", "a"],
  );
});

/** What would make two runs of the same program differ. All of it comes through the Host. */
const BANNED_CALLS = [
  /\bDate\.now\b/,
  /\bnew Date\s*(?:\(\s*\)|(?!\s*\())/,
  /(?<!new )\bDate\(\s*\)/,
  /\bMath\.random\b/,
  /\bperformance\.(?:now|timeOrigin)\b/,
  /(?<!\.)\b(?:setTimeout|setInterval|setImmediate)\b/,
  /\bglobalThis\.set(?:Timeout|Interval|Immediate)\b/,
  /\bprocess\.(?:hrtime|uptime)\b/,
  /\b(?:randomBytes|randomUUID|randomInt|randomFillSync|getRandomValues)\b/,
  /\b(?:await|return|=)\s+fetch\s*\(/,
  /\bglobalThis\.fetch\b/,
];
const BANNED_MODULES = new RegExp(
  "^node:(?:net|dgram|dns|dns/promises|http|http2|https|tls|fs|fs/promises|child_process|" +
    "timers|timers/promises|cluster|perf_hooks|worker_threads)$",
);

/** The door itself, and the program that people start. */
const MAY_BE_IMPURE = (file: string): boolean =>
  /^src\/(?:host|process|cluster|cli)\//.test(file) || /^src\/dashboard\/page\//.test(file);

function impurities(file: string, source: string): string[] {
  if (MAY_BE_IMPURE(file)) return [];
  const lines = codeOf(source).split("\n");
  const calls = lines.flatMap((text, i) =>
    BANNED_CALLS.filter((banned) => banned.test(text)).map(
      (banned) => `${file}:${i + 1} uses ${banned.exec(text)?.[0]}`,
    ),
  );
  const modules = importsOf(source)
    .filter(({ specifier }) => BANNED_MODULES.test(specifier))
    // Warm `call` jobs run in threads: the pool is exec's whole purpose.
    .filter(
      ({ specifier }) => !(specifier === "node:worker_threads" && file.startsWith("src/exec/")),
    )
    // HTTP is Node's own: one file has the port, and others have the types of what comes there.
    .filter(({ specifier }) => !(/^node:(http|net)$/.test(specifier) &&
      /^src\/http\/(?:server|serving|answer|body|pages)\.ts$/.test(file)))
    .map(({ specifier, line }) => `${file}:${line} imports ${specifier}`);
  return [...calls, ...modules];
}

test("time, chance, disk, network and processes come through #host only", () => {
  assert.deepEqual(sources.flatMap((file) => impurities(file, read(file))), []);
});

test("impurities() sees calls and imports, and not comments, strings or other methods", () => {
  const found = (source: string): number => impurities("src/log/mod.ts", source).length;
  for (const bad of [
    "Date.now()",
    "new Date()",
    "Math.random()",
    "performance.now()",
    "setTimeout(f, 1)",
    "process.hrtime.bigint()",
    'import "node:fs";',
    'import { connect } from "node:net";',
    'await import("node:child_process")',
    "`${Date.now()}`",
    "randomUUID()",
    "await fetch(url)",
    'import { Worker } from "node:worker_threads";',
  ]) {
    assert.equal(found(bad), 1, bad);
  }
  for (const good of [
    "// Date.now()",
    "/* Math.random() */",
    '"setTimeout(f)"',
    "new Date(0)",
    "new Date(wall).toISOString()",
    "timers.setTimeout()",
    "rpc.fetch(x)",
    "async fetch(hash) {}",
    'import "node:zlib";',
    "`Date.now()`",
  ]) {
    assert.equal(found(good), 0, good);
  }
  assert.equal(impurities("src/host/time.ts", "Date.now()").length, 0);
  assert.equal(
    impurities("src/exec/pool.ts", 'import { Worker } from "node:worker_threads";').length,
    0,
  );
});

test("package.json has no runtime dependency and three dev tools", () => {
  assert.deepEqual(Object.keys(pkg.devDependencies).sort(), ["@types/node", "tsx", "typescript"]);
  for (const kind of [
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "bundleDependencies",
  ] as const) {
    assert.deepEqual(Object.keys(pkg[kind] ?? {}), [], kind);
  }
});

test("package.json imports and the folders of src agree", () => {
  for (const [name, targets] of Object.entries(pkg.imports)) {
    const folder = dirname(targets["source"] ?? "");
    assert.deepEqual(targets, {
      [`own-${name.slice(1)}`]: `./own/${name.slice(1)}.ts`,
      source: `${folder}/mod.ts`,
      default: `${folder.replace("./src/", "./dist/")}/mod.js`,
    }, name);
    assert.deepEqual(
      Object.keys(targets),
      [`own-${name.slice(1)}`, "source", "default"],
      `${name}: own comes first, default last`,
    );
    assert.ok(
      existsSync(join(ROOT, targets["source"]!)),
      `${name}: there is no ${targets["source"]}`,
    );
    assert.notEqual(layerOf(name.slice(1)), -1, `${name}: no layer in this test's table`);
  }
  const folders = new Set(sources.map((file) => file.split("/")[1]!));
  for (const folder of folders) {
    assert.ok(
      Object.values(pkg.imports).some((targets) => targets["source"] === `./src/${folder}/mod.ts`),
      `src/${folder} has no import name`,
    );
  }
});

test("every module begins with a header; a subsystem's names its lesson and its test", () => {
  const wrong: string[] = [];
  for (const file of sources) {
    const header = /^(?:#![^\n]*\n)?\/\*\*[\s\S]*?\*\//.exec(read(file))?.[0];
    if (!header) wrong.push(`${file}: does not begin with a /** header */`);
    else if (file.endsWith("/mod.ts")) {
      if (!/\bLesson \d\d\b/.test(header)) wrong.push(`${file}: the header names no "Lesson NN"`);
      const tests = [...header.matchAll(/\btest\/[\w.-]+\.test\.ts/g)].map(([name]) => name);
      if (tests.length === 0) wrong.push(`${file}: the header names no test`);
      for (const name of tests) {
        if (!existsSync(join(ROOT, name))) wrong.push(`${file}: ${name} does not exist`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("every lesson has its README and, where it teaches a subsystem, its contract test", () => {
  const lessons = [
    ...new Set(
      files.filter((file) => /^lessons\/.+\//.test(file)).map((file) => file.split("/")[1]!),
    ),
  ];
  const wrong: string[] = [];
  for (const lesson of lessons) {
    if (!/^\d\d-[a-z-]+$/.test(lesson)) wrong.push(`lessons/${lesson}: not NN-name`);
    if (!existsSync(join(ROOT, "lessons", lesson, "README.md"))) {
      wrong.push(`lessons/${lesson}: no README.md`);
    }
    // The tour looks at the machine from outside, and the last chapter is about bundles and
    // operations.
    if (!/^(00|24)-/.test(lesson) && !existsSync(join(ROOT, "test", `${lesson}.test.ts`))) {
      wrong.push(`lessons/${lesson}: no test/${lesson}.test.ts`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("a contract test knows its subsystem through #name only, so that it can run against a " +
  "reader's own", () => {
  const contracts = files.filter((file) => /^test\/\d\d-[a-z-]+\.test\.ts$/.test(file));
  const wrong = contracts.flatMap((file) =>
    importsOf(read(file))
      // Helpers beside the tests are welcome; the sources are not to be reached around the name.
      .filter(
        ({ specifier }) =>
          !specifier.startsWith("#") &&
          !specifier.startsWith("node:") &&
          !/^\.\/[\w.-]+$/.test(specifier),
      )
      .map(({ specifier, line }) => `${file}:${line} imports ${specifier}`),
  );
  assert.deepEqual(wrong, []);
});

/**
 * A module reads in one sitting: 300 lines of code is the aim, and no file has more than 450 lines,
 * comments among them. A file of tests is read a case at a time.
 */
const [AIM_LINES, MAX_LINES] = [300, 450];

test("modules stay short enough to read", (t) => {
  for (const file of sources) {
    const code = codeOf(read(file), { keepStrings: true });
    const lines = code.split("\n").filter((line) => line.trim() !== "").length;
    if (lines <= AIM_LINES) continue;
    t.diagnostic(`${file}: ${lines} lines of code; aim for ${AIM_LINES}`);
  }
  const scripts = files.filter((file) => /^scripts\/.*\.(?:ts|mjs)$/.test(file));
  const sizes = [...sources, ...scripts].map((file) =>
    ({ file, lines: read(file).trimEnd().split("\n").length }));
  assert.deepEqual(sizes.filter(({ lines }) => lines > MAX_LINES), []);
});

test("nothing is unfinished, skipped or focused", () => {
  const unfinished = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`);
  const skipped = new RegExp(
    String.raw`\b(?:test|it|describe|suite)\.(?:skip|todo|only)\b|\b(?:skip|todo|only): ${"true"}`,
  );
  const wrong: string[] = [];
  for (const file of files.filter(
    (name) =>
      /\.(?:ts|mjs|js|py|md|sh|yaml|yml|patch)$/.test(name) && name !== "test/style.test.ts",
  )) {
    read(file)
      .split("\n")
      .forEach((line, i) => {
        if (unfinished.test(line)) wrong.push(`${file}:${i + 1} ${line.trim()}`);
        if (file.startsWith("test/") && skipped.test(line)) {
          wrong.push(`${file}:${i + 1} ${line.trim()}`);
        }
      });
  }
  assert.deepEqual(wrong, []);
});

test("no file names a path of somebody's machine or the host of a registry", () => {
  const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const own = [ROOT, homedir()]
    .filter((path) => path.split("/").length > 2)
    .map((path) => `${escape(path)}(?![\\w-])`);
  const machine = new RegExp(
    [
      ...own,
      "\\/(?:work|farm)\\/(?:main|shared|in)\\b",
      "\\/(?:home|Users)\\/[a-z]",
      "\\.\\.\\/shared\\b",
    ].join("|"),
  );
  const registry =
    /https?:\/\/[^\s"'/]*(?:registry|artifactory|nexus|verdaccio)|^\s*registry\s*=|"resolved"\s*:/;
  const wrong: string[] = [];
  for (const file of files.filter((name) => name !== "test/style.test.ts")) {
    read(file).split("\n").forEach((line, i) => {
      if (machine.test(line) || registry.test(line)) {
        wrong.push(`${file}:${i + 1} ${line.trim().slice(0, 100)}`);
      }
    });
  }
  assert.deepEqual(wrong, []);
});
