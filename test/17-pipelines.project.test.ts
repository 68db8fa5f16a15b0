/**
 * Chapter 17: when the folder around a pipeline is shipped, and whether the files that its jobs
 * name are in it.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { nodeHost } from "#host";
import { definePipeline, mentionedPaths, parsePipeline, PipelineError, toYaml } from "#pipeline";
import { connect, type Client } from "#sdk";
import { startEmbeddedCluster } from "../src/cluster/cluster.ts";
import { projectFiles } from "../src/cli/project-files.ts";
import { projectNeed } from "../src/sdk/project-need.ts";
import { NEWCOMERS } from "./17-pipelines.newcomers.ts";

const host = nodeHost();
const folder = mkdtempSync(join(tmpdir(), "titan-project-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

/** A fresh project with these files. */
function project(files: Record<string, string>): string {
  const root = mkdtempSync(join(folder, "p-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode: 0o755 });
  }
  return root;
}

const FILES = {
  "a.py": "",
  tool: "",
  "data/x.csv": "",
  "my file.txt": "",
  "lib/helper.py": "",
  "notes.txt": "",
  "skipped.log": "",
  "node_modules/m/index.js": "",
  ".titanignore": "*.log\n",
};

test("projectNeed() ships for a word that names something in the folder, and " +
  "for nothing else", async () => {
  const root = project(FILES);
  const need = async (job: object, top: object = {}): Promise<string | undefined> => {
    const definition = definePipeline({ name: "n", ...top, jobs: [{ id: "j", ...job }] });
    const found = await projectNeed(host, definition, root);
    return found?.why === "job" ? found.path : found?.why;
  };
  const named: [job: object, path: string][] = [
    [{ run: "python3 a.py --fast" }, "a.py"],
    [{ run: "set -x\ncat data/x.csv | wc -l" }, "data/x.csv"],
    [{ run: "./tool" }, "tool"],
    [{ run: "X=1 ./tool>out" }, "tool"],
    [{ run: "sort --output=out --in=data/x.csv" }, "data/x.csv"],
    [{ run: 'cat "my file.txt"' }, "my file.txt"],
    [{ run: "for f in data/*.csv; do cat $f; done" }, "data/*.csv"],
    [{ run: "wc -l *.txt" }, "*.txt"],
    [{ run: "ls data/" }, "data"],
    [{ run: "python3 -m lib.helper" }, "lib/helper.py"],
    [{ run: "import lib.helper\nlib.helper.main()", shell: "python3" }, "lib/helper.py"],
    [{ run: 'open("data/x.csv")', shell: "python3" }, "data/x.csv"],
    [{ command: ["cat", "my file.txt"] }, "my file.txt"],
    [{ command: ["sh", "-c", "cat data/x.csv"] }, "data/x.csv"],
    [{ command: ["python3", "a.py"] }, "a.py"],
    [{ file: "a.py" }, "a.py"],
    [{ call: "lib/m.js#f" }, "lib/m.js#f"],
  ];
  for (const [job, path] of named) assert.equal(await need(job), path, JSON.stringify(job));
  const idle: object[] = [
    { run: "echo hello" },
    { run: "python3 b.py" },
    { run: "cat /data/x.csv ../a.py ~/a.py" },
    { run: "cat data/y.csv" },
    { run: `cat data/x.csv/y data/${"n".repeat(300)}` },
    { run: "cat skipped.log node_modules/m/index.js" },
    { command: ["ls", "-l"] },
    { call: "titan:noop" },
    { run: "ls *.rs" },
  ];
  for (const job of idle) assert.equal(await need(job), undefined, JSON.stringify(job));
  assert.equal(await need({ run: "echo hello" }, { project: true }), "written");
  assert.equal(await need({ run: "python3 a.py" }, { project: true }), "written");
  for (const job of [{ run: "python3 a.py" }, { file: "a.py" }]) {
    assert.equal(await need(job, { project: false }), undefined);
  }
  assert.equal(
    await projectNeed(
      host,
      definePipeline({ name: "n", jobs: [{ id: "a", run: "cat x" }] }),
      join(root, "gone"),
    ),
    undefined,
  );
});

test("projectNeed() takes bounded time over scripts as long as they may be", async () => {
  const root = project(FILES);
  const looks = { count: 0 };
  const counting = {
    ...host,
    storage: Object.assign(Object.create(host.storage) as typeof host.storage, {
      stat: (path: string) => (looks.count++, host.storage.stat(path)),
    }),
  };
  const long = (word: (i: number) => string) =>
    Array.from({ length: 40_000 }, (_, i) => word(i)).join(" ");
  const jobs = Array.from({ length: 5 }, (_, i) => ({ id: `j${i}`, run: long((n) => `w${n}.py`) }));
  assert.equal(await projectNeed(counting, definePipeline({ name: "n", jobs }), root), undefined);
  assert.ok(looks.count < 10, `${looks.count} looks for names that the folder does not have`);
  const below = definePipeline({ name: "n", jobs: [{ id: "j", run: long((n) => `data/${n}`) }] });
  assert.deepEqual(await projectNeed(counting, below, root), {
    why: "job",
    job: "j",
    path: "data/1000",
  });
  assert.ok(looks.count < 1100, `${looks.count} looks`);
  const signs = definePipeline({ name: "n", jobs: [{ id: "j", run: "\"' ".repeat(300_000) }] });
  const start = process.cpuUsage();
  assert.equal(await projectNeed(host, signs, root), undefined);
  const { user } = process.cpuUsage(start);
  assert.ok(user < 5e6, "quotes without an end are walked over once");
});

test("mentionedPaths() never names a place outside the folder", () => {
  const script = "cat /etc/passwd ../x a/../../b ~/.ssh ./../y .. . ./ -- -x a//b ./c/./d";
  assert.deepEqual([...mentionedPaths({ type: "shell", script })], ["cat", "a/b", "c/d"]);
});

test("a definition remembers that project: true was written, and toYaml() writes it", () => {
  const text = "name: n\nproject: true\njobs: [{id: a, run: ls}]\n";
  assert.equal(parsePipeline(text).projectWritten, true);
  assert.equal(parsePipeline(toYaml(parsePipeline(text))).projectWritten, true);
  assert.equal("projectWritten" in parsePipeline(text.replace("project: true\n", "")), false);
});

test("parsePipeline() refuses a file that would not be on a worker: line, caret, and what was " +
  "meant", async () => {
  const root = project({ ...FILES, "scripts/extract.py": "" });
  mkdirSync(join(root, "folder.py"));
  symlinkSync("a.py", join(root, "link.py"));
  const files = await projectFiles(root);
  const problems = (text: string): string[] => {
    try {
      parsePipeline(text, { file: "p.yaml", project: files });
      return [];
    } catch (error) {
      assert.ok(error instanceof PipelineError, String(error));
      return error.problems.map(({ line, column, message, excerpt }) => {
        assert.match(excerpt ?? "", /\^/);
        return `${line}:${column}: ${message}`;
      });
    }
  };
  const pipeline = (...jobs: string[]) =>
    `name: n\njobs:\n${jobs.map((job, i) => `- {id: j${i}, ${job}}\n`).join("")}`;
  assert.deepEqual(
    problems(
      pipeline(
        "file: a.pyy",
        "file: extract.py",
        "file: zzz.rb",
        "file: folder.py",
        "file: skipped.log",
        "file: node_modules/m/index.js",
        "call: 'lib/none.js#f'",
        "file: data/x.csv/y",
      ),
    ),
    [
      '3:18: "file" in job "j0": there is no a.pyy in the project folder (did you mean "a.py"?)',
      '4:18: "file" in job "j1": there is no extract.py in the project folder ' +
        '(did you mean "scripts/extract.py"?)',
      '5:18: "file" in job "j2": there is no zzz.rb in the project folder',
      '6:18: "file" in job "j3": folder.py is a folder',
      '7:18: "file" in job "j4": skipped.log is not shipped: .titanignore names it',
      '8:18: "file" in job "j5": node_modules/m/index.js is not shipped: node_modules never is',
      '9:18: "call" in job "j6": there is no lib/none.js in the project folder',
      '10:18: "file" in job "j7": there is no data/x.csv/y in the project folder ' +
        '(did you mean "data/x.csv"?)',
    ],
  );
  assert.deepEqual(
    problems(
      pipeline(
        "file: ./a.py",
        "file: link.py",
        "file: lib//helper.py",
        "call: titan:noop",
        "file: lib/../a.py",
      ),
    ),
    [],
  );
  assert.deepEqual(
    problems(`project: false\n${pipeline("file: nope.py")}`),
    [],
    "nothing is shipped: then it is the worker's to say",
  );
});

test("pipelines of newcomers, corrected, run to their end on a cluster, with the project where " +
  "they need it", async () => {
  const root = project({
    "train.py": "print('trained')\n",
    "a.py": "import sys; sys.exit(0 if open('data/x').read() == 'x' else 1)\n",
    "data/x": "x",
  });
  const cluster = await startEmbeddedCluster({
    workers: 1,
    slots: 4,
    tags: ["gpu", "a100", "GPU"],
    durability: "no",
  });
  try {
    const client = await connect({ host, master: cluster.master });
    const ends = await Promise.all([
      ...NEWCOMERS.filter(({ runs }) => runs).map(({ corrected }) => end(client, corrected, root)),
      end(client, "name: word\njobs: [{id: a, run: python3 a.py}]", root),
      end(
        client,
        "name: written\nproject: true\njobs: [{id: a, run: 'test -e data && test -e train.py'}]",
        root,
      ),
      end(client, "name: never\nproject: false\njobs: [{id: a, run: test ! -e a.py}]", root),
      end(client, 'name: idle\njobs: [{id: a, run: test -z "$(ls)"}]', root),
      end(client, "name: stops\njobs:\n- id: a\n  run: |\n    false\n    echo on", root),
    ]);
    const failed = ends
      .filter(({ status }) => status !== "COMPLETED")
      .map(({ name, status }) => `${name} ${status}`);
    assert.deepEqual(failed, ["stops FAILED"]);
    assert.equal(ends.length, 9 + 5);
    const large = project({ "data/x": "", "a.py": "" });
    truncateSync(join(large, "data", "x"), 65 * 1024 * 1024);
    await assert.rejects(
      end(client, "name: large\njobs: [{id: a, run: echo data}]", large),
      /Name in \.titanignore[\s\S]*job "a" names data; "project: false" ships nothing\.$/,
    );
    client.close();
  } finally {
    await cluster.stop();
  }
});

async function end(
  client: Client,
  text: string,
  projectDir: string,
): Promise<{ name: string; status: string }> {
  const definition = parsePipeline(text);
  const { run } = await client.submit(definition, { projectDir });
  for await (const event of client.watch(run)) {
    // A watch that begins late finds the gate open in its first event.
    const asks = event.type === "job" && event.change.status === "WAITING";
    if (asks || event.type === "snapshot") await approve(client, run);
    if (event.type === "job" || event.run.status === "RUNNING") continue;
    return { name: definition.name, status: event.run.status };
  }
  return assert.fail("the watch ended before the run");
}

async function approve(client: Client, run: string): Promise<void> {
  for (const gate of await client.gates()) {
    if (gate.id.startsWith(`${run}/`)) await client.decide(gate.id, { approve: true });
  }
}
