/** The commands around the tests: what they accept, and that nothing run is never a success. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync,
  rmSync, symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { findChapter, suggest } from "../scripts/lib/chapters.mjs";
import { SHORT_LIVED, shortLived } from "../scripts/lib/compiled.mjs";
import { costLines, secondsOfAll } from "../scripts/lib/cpu-time.mjs";
import { removeTreeSync } from "../scripts/lib/remove-tree.mjs";
import { runTests } from "../scripts/lib/run-tests.mjs";
import { programOf, together } from "../scripts/lib/together.mjs";

const ROOT = join(import.meta.dirname, "..");

/** A project with the real scripts, one chapter with two tests, and one with none. */
let root = "";
before(() => {
  root = join(realpathSync(mkdtempSync(join(tmpdir(), "titan-scripts-"))), "project");
  const files: Record<string, string> = {
    "src/cli/main.ts": [
      "console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd() }));",
      "process.exitCode = 5;",
      "",
    ].join("\n"),
    "test/01-echo.test.ts": [
      'import { test } from "node:test";',
      'test("one", () => {});',
      'test("two", () => { if (process.env.NODE_EXTRA_CA_CERTS) throw new Error("slow"); });',
      "",
    ].join("\n"),
    "test/02-empty.test.ts": "export {};\n",
    "test/03-wrong.test.ts": [
      'import assert from "node:assert/strict";',
      'import { test } from "node:test";',
      'test("three", () => assert.ok([3].length > 3));',
      "",
    ].join("\n"),
    "lessons/01-echo/try/shout.ts": [
      "const all: string[] = process.argv.slice(2);",
      'console.log(all.join(" ").toUpperCase());',
      "process.exitCode = 7;",
      "",
    ].join("\n"),
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  for (const name of ["package.json", "package-lock.json", "tsconfig.json", "scripts"]) {
    cpSync(join(ROOT, name), join(root, name), { recursive: true });
  }
  mkdirSync(join(root, "src/base"));
  cpSync(join(ROOT, "src/base/suggest.ts"), join(root, "src/base/suggest.ts"));
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
});
after(() => rmSync(dirname(root), { recursive: true, force: true }));

function script(
  name: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): { code: number | null; out: string; err: string } {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const done = spawnSync(process.execPath, [join(root, "scripts", name), ...args], {
    cwd: root,
    encoding: "utf8",
    env: { ...inherited, NO_COLOR: "1", ...env },
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

test("chapter runs the tests of one chapter by number or name, and prints node's counts", () => {
  for (const name of ["7", "07", "queue", "07-queue"]) {
    assert.equal(findChapter(name).id, "07-queue", name);
  }
  for (const name of ["1", "echo"]) {
    const { code, out } = script("chapter.mjs", [name]);
    assert.equal(code, 0, name);
    assert.match(out, /\btests 2\b/);
  }
  assert.equal(script("chapter.mjs", ["3"]).code, 1);
});

test("chapter refuses an unknown chapter and lists what there is", () => {
  const { code, err } = script("chapter.mjs", ["ecko"]);
  assert.equal(code, 1);
  assert.match(err, /did you mean echo\?/);
  assert.match(err, /01-echo/);
  assert.equal(script("chapter.mjs").code, 1);
});

test("chapter fails when no test ran: an empty file, or a pattern that nothing matches", () => {
  const empty = script("chapter.mjs", ["2"]);
  assert.equal(empty.code, 1);
  assert.match(empty.err, /No test ran/);
  assert.equal(script("chapter.mjs", ["1", "--test-name-pattern=nothing is called this"]).code, 1);
  assert.equal(script("chapter.mjs", ["1", "--test-name-pattern=one"]).code, 0);
});

test("test runs the files it is given, and refuses files that do not exist", () => {
  const certificates = { NODE_EXTRA_CA_CERTS: join(root, "none.pem") };
  const { code, out } = script("test.mjs", ["test/01-echo.test.ts"], certificates);
  assert.equal(code, 0);
  assert.match(out, /\bpass 2\b/);
  assert.equal(script("test.mjs", ["test/02-empty.test.ts"]).code, 1);
  const wrong = script("test.mjs", ["test/03-wrong.test.ts"]);
  assert.equal(wrong.code, 1);
  // The words of the expression are not looked for: it may take minutes.
  assert.match(wrong.out, /The expression evaluated to a falsy value$/m);
  assert.match(script("test.mjs", ["test/09-gone.test.ts"]).err, /no file test\/09-gone\.test\.ts/);
});

test("try runs a lesson's program with its arguments and hands on its exit code", () => {
  assert.deepEqual(script("try.mjs", ["01/shout", "hello", "there"]), {
    code: 7,
    out: "HELLO THERE\n",
    err: "",
  });
  assert.equal(script("try.mjs", ["1/shout.ts"]).code, 7);
  assert.match(script("try.mjs").out, /npm run -s try 01\/shout/);
  const { code, err } = script("try.mjs", ["01/shut"]);
  assert.equal(code, 1);
  assert.match(err, /did you mean 01\/shout\?/);
});

test("try lists one lesson's programs when only the lesson was named", () => {
  const { code, err } = script("try.mjs", ["1"]);
  assert.equal(code, 1);
  assert.match(err, /Cannot try "1": no such program.*\n {2}npm run -s try 01\/shout\n$/);
});

/**
 * As `node -e` with the real bootstrap.mjs at hand: `throws` is what the script's work fails with.
 */
function failing(throws: string): ReturnType<typeof script> {
  const bootstrap = JSON.stringify(join(root, "scripts/bootstrap.mjs"));
  const file = join(root, "scripts", "fails.mjs");
  writeFileSync(
    file,
    `import { runMain } from ${bootstrap};\nawait runMain(() => { throw ${throws}; });\n`,
  );
  return script("fails.mjs");
}

test("a script that cannot write into the checkout says which path, why and what to do", () => {
  const thrown = (code: string, path: string): string =>
    `Object.assign(new Error("${code}: no"), { code: "${code}", path: ${JSON.stringify(path)} })`;
  const word = /^[\w./-]+$/.test(root) ? root : `'${root}'`;
  for (const [code, why] of [["EACCES", "permission denied"], ["EROFS", "the disk is read-only"]]) {
    const said = failing(thrown(code!, join(root, "dist")));
    assert.equal(said.code, 1);
    assert.ok(said.err.startsWith(`Cannot write ${root}/dist: ${why}\n`), said.err);
    assert.ok(said.err.includes(`git clone ${word} ~/titan`), said.err);
    assert.doesNotMatch(said.err, /^ {4}at /m);
  }
  if (process.getuid?.() === 0) { // only root gives folders away
    const own = join(root, "own");
    mkdirSync(own, { recursive: true });
    chownSync(own, 1, 1);
    const said = failing(thrown("EACCES", join(own, "log")));
    const told = /own\/log: permission denied\nown\/ is another user's, .*sudo chown -R /;
    assert.match(said.err, told);
    chownSync(own, 0, 0);
  }
  // A bug elsewhere keeps its stack: no advice about the checkout would help.
  for (const throws of [thrown("EACCES", "/elsewhere"), thrown("ENOENT", join(root, "dist"))]) {
    assert.match(failing(throws).err, /^ {4}at /m);
  }
});

test("a script in a checkout of another user does not show a stack", (t) => {
  if (process.getuid?.() === 0) {
    return t.skip("only on accounts other than root, which may write everywhere");
  }
  const folder = mkdtempSync(join(tmpdir(), "titan-scripts-read-only-"));
  t.after(() => removeTreeSync(folder));
  for (const name of ["package.json", "package-lock.json", "tsconfig.json", "scripts", "src"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  chmodSync(folder, 0o555);
  const titan = join(folder, "scripts/titan.mjs");
  const said = spawnSync(process.execPath, [titan], { encoding: "utf8" });
  assert.equal(said.status, 1);
  assert.match(said.stderr, /^Cannot write .*dist: permission denied\n[^\n]*git clone [^\n]*\n$/);
});

test("a script whose npm ci fails passes on the reason, and says when there is no npm", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-scripts-npm-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["package.json", "package-lock.json", "scripts", "lessons"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const failed = (): string => {
    const env = { ...process.env, PATH: bin };
    const script = join(folder, "scripts/try.mjs");
    const done = spawnSync(process.execPath, [script, "1/shout"], { encoding: "utf8", env });
    assert.equal(done.status, 1);
    return done.stderr.replace(/^titan: installing .*\n/, "");
  };
  assert.equal(failed(), "Cannot install the dev tools: there is no npm in PATH\n");
  const lines = ["code ECONNREFUSED", "request failed, reason: refused", "    at x (y:1:2) {"];
  for (let n = 0; n < 30; n++) lines.push("    at deeper (z:3:4)", "  port: 1,", "");
  const says = lines.map((line) => `echo 'npm error ${line}' >&2`).join("\n");
  writeFileSync(join(bin, "npm"), `#!/bin/sh\n${says}\nexit 1\n`, { mode: 0o755 });
  const [first, ...rest] = failed().split("\n");
  assert.equal(first, "Cannot install the dev tools: npm ci failed with status 1");
  assert.deepEqual(rest.slice(0, 2), [
    "npm error code ECONNREFUSED", "npm error request failed, reason: refused",
  ]);
  assert.match(rest[2]!, /^They are needed once, .* Offline: copy node_modules /);
});

test("every script and titan itself refuse a Node that is too old in one sentence", () => {
  const { engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    engines: { node: string };
  };
  const oldest = engines.node.replace(">=", "");
  const [major, minor] = oldest.split(".").map(Number) as [number, number];
  const start = (file: string, version: string): ReturnType<typeof spawnSync> => {
    const versions = `{ ...process.versions, node: ${JSON.stringify(version)} }`;
    const pretend = `Object.defineProperty(process, "versions", { value: ${versions} })`;
    const url = `data:text/javascript,${encodeURIComponent(pretend)}`;
    const loader = file.endsWith(".ts") ? ["--import", "tsx", "-C", "source"] : [];
    const flags = ["--import", url, ...loader];
    return spawnSync(process.execPath, [...flags, join(ROOT, file), "version"], {
      cwd: ROOT, encoding: "utf8",
    });
  };
  for (const file of ["scripts/titan.mjs", "scripts/learn.mjs", "src/cli/main.ts"]) {
    for (const version of ["18.20.4", `${major}.${minor - 1}.9`]) {
      const said = start(file, version);
      assert.equal(said.status, 1, `${file} ${version}`);
      assert.match(
        String(said.stderr),
        new RegExp(`^\\S*.*Titan needs Node ${oldest} or newer.*\n$`),
      );
    }
  }
  assert.equal(start("src/cli/main.ts", `${major}.${minor}.0`).status, 0);
});

test("titan builds first, runs where it was called from, and keeps the exit code", () => {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const here = script("titan.mjs", ["run", "--json"]);
  assert.equal(here.code, 5, here.err);
  assert.deepEqual(JSON.parse(here.out), { args: ["run", "--json"], cwd: root });
  const elsewhere = script("titan.mjs", [], {
    npm_lifecycle_event: "titan",
    INIT_CWD: dirname(root),
  });
  assert.deepEqual(JSON.parse(elsewhere.out), { args: [], cwd: dirname(root) });
});

test("bootstrap keeps the last good build if types do not hold, and stamps no failed one", () => {
  assert.equal(script("bootstrap.mjs").code, 0);
  const stamp = readFileSync(join(root, "dist/.stamp"), "utf8");
  writeFileSync(join(root, "src/cli/bad.ts"), "export const count: number = 'many';\n");
  const { code, err } = script("bootstrap.mjs");
  assert.equal(code, 1);
  assert.match(err, /src\/cli\/bad\.ts\(1,14\): error TS2322/);
  assert.equal(readFileSync(join(root, "dist/.stamp"), "utf8"), stamp);
  assert.ok(existsSync(join(root, "dist/cli/main.js")));
  rmSync(join(root, "src/cli/bad.ts"));
  assert.equal(script("bootstrap.mjs").code, 0);
  assert.match(script("bootstrap.mjs", ["--fast"]).err, /unknown option --fast/);
});

test("bootstrap --if-tools leaves a folder without tools alone; so does one in npm ci", () => {
  const folder = join(dirname(root), "no-tools");
  cpSync(join(ROOT, "scripts"), join(folder, "scripts"), { recursive: true });
  const args = [join(folder, "scripts/bootstrap.mjs")];
  const run = (flags: string[], variables = {}) => {
    const env = { ...process.env, ...variables };
    return spawnSync(process.execPath, [...args, ...flags], { encoding: "utf8", env });
  };
  for (const done of [run(["--if-tools"]), run([], { TITAN_BOOTSTRAP_INSTALLS: "1" })]) {
    assert.deepEqual([done.status, done.stdout, done.stderr], [0, "", ""]);
  }
  assert.equal(existsSync(join(folder, "dist")), false);
});

test("bootstrap removes output whose source is gone, and takes over the lock of " +
  "a dead process", () => {
  writeFileSync(join(root, "src/cli/extra.ts"), "export {};\n");
  const built = script("bootstrap.mjs");
  // Who waits for seconds is told for what; a build that is fresh says nothing.
  assert.deepEqual([built.code, built.err], [
    0, "titan: compiling the sources, which takes some seconds …\n",
  ]);
  assert.equal(script("bootstrap.mjs").err, "");
  assert.ok(existsSync(join(root, "dist/cli/extra.js")));
  rmSync(join(root, "src/cli/extra.ts"));
  const { pid } = spawnSync(process.execPath, ["--version"]);
  writeFileSync(join(root, "dist/.lock"), String(pid));
  assert.equal(script("bootstrap.mjs").code, 0);
  assert.ok(!existsSync(join(root, "dist/cli/extra.js")));
  assert.ok(!existsSync(join(root, "dist/.lock")));
});

test("suggest() finds typing mistakes and stays silent about other words", () => {
  assert.equal(suggest("lgo", ["log", "dag"]), "log");
  assert.equal(suggest("kubernetes", ["check", "test"]), undefined);
});

test("launch refuses a name that it does not know, and says which ones there are", () => {
  const { code, err } = script("launch.mjs", ["bunch"]);
  assert.equal(code, 1);
  const names = "bench, book, chaos, demo, package, replay, screenshots, sim";
  assert.match(err, new RegExp(`Cannot launch "bunch": it is none of ${names}\n`));
});

test("runTests() that shows nothing sums up all the same, however much there is", async () => {
  const file = join(root, "test/05-many.test.mjs");
  writeFileSync(file, [
    'import { test } from "node:test";',
    "for (let i = 0; i < 600; i++) test(`a name as long as those of other tests, ${i}`, () => {});",
    "",
  ].join("\n"));
  const { code, summary } = await runTests([file], { root, quiet: true });
  assert.deepEqual([code, summary.ran], [0, 600]);
  if (process.platform !== "linux") return;
  const [cost, ...others] = summary.costs!;
  assert.deepEqual([cost?.name, others], [file, []]);
  assert.ok(cost!.seconds > 0 && cost!.seconds < secondsOfAll()!);
});

test("costLines() names the dearest ten, and nothing where the system does not tell", () => {
  const costs = Array.from({ length: 12 }, (_, i) => ({ name: `f${i}`, seconds: 12 - i }));
  const lines = costLines(costs, 700.4);
  assert.equal(lines[0], "700 s of a processor, most of them in");
  assert.deepEqual([lines.length, lines[1], lines[10]], [11, "   12.0 s  f0", "    3.0 s  f9"]);
  assert.deepEqual(costLines([], 3), ["3 s of a processor"]);
  assert.deepEqual(costLines(costs, undefined), []);
});

test("together() leaves a file alone that starts a process or counts, or imports one", () => {
  const folder = join(dirname(root), "files");
  const texts = {
    a: 'import { spawn } from "node:child_process";', b: 'import { x } from "./c.support.ts";',
    "c.support": 'export * from "./b.ts";\nimport "./leaks.support.ts";', d: "", e: "", f: "",
    g: "", h: 'import type { ChildProcess } from "node:child_process";',
    i: 'import {\n  x,\n} from "./a.ts";',
  };
  mkdirSync(folder);
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, `${name}.ts`), text);
  const all = (names: string): string[] => [...names].map((name) => join(folder, `${name}.ts`));
  const names = (processes: number): string[] =>
    together(all("abdefghi"), processes)
      .map((files) => files.map((file) => file.slice(-4, -3)).join(""));
  assert.deepEqual(names(1), ["a", "b", "defgh", "i"]);
  assert.deepEqual(names(3), ["a", "b", "de", "fg", "h", "i"]);
  assert.deepEqual(together(all("dddddddddd"), 1).map(({ length }) => length), [8, 2]);
  assert.match(programOf(all("de")), /^import "file:.*d\.ts";\nimport "file:.*e\.ts";\n$/);
});

test("a process of a newer Node gets no option that it lacks: it would not start", () => {
  assert.deepEqual(shortLived("11.3.244.8-node.38"), ["--interrupt-budget=500000"]);
  for (const v8 of ["12.4.254.21-node.57", "13.6.233.17-node.53", "14.6.202.34"]) {
    assert.deepEqual(shortLived(v8), []);
  }
  assert.equal(spawnSync(process.execPath, [...SHORT_LIVED, "-e", ""]).status, 0);
});
