/** What a job in Python finds when it imports `titan` and `titan_job`: ours, or what it brings. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createExecutor, type ExecRequest } from "#exec";
import { nodeHost, nodeWorkFolders } from "#host";
import { nodeWorkerHost } from "#process";
import { packProject } from "#project";
import { ROOT } from "../scripts/bootstrap.mjs";
import { PYTHON_FOLDER, pythonFolder, withPython } from "../src/exec/python-path.ts";
import { tempFolder } from "./cli.support.ts";

const SDK = join(ROOT, "src", "sdk", "python");
const WHERE = "import titan, titan_job\nfor each in titan, titan_job: print(each.__file__)\n";
const names = { run: "r", attempt: 1, worker: "w", timeoutMs: 20_000, inputs: [] };

test("a job in Python imports our modules, and its own before them; nothing is written where " +
  "they are installed", async () => {
  const home = tempFolder();
  const workDir = join(home, "jobs");
  const own = tempFolder({ "titan_job.py": "" });
  const project = join(home, "project");
  mkdirSync(project);
  writeFileSync(join(project, "where.py"), WHERE);
  writeFileSync(join(project, "titan_job.py"), "");
  const before = readdirSync(SDK);
  const executor = createExecutor({ host: nodeWorkerHost(), workDir });
  const imports = async (job: string, more: Partial<ExecRequest>): Promise<string[]> => {
    let printed = "";
    const action = { type: "shell", shell: "python3", script: WHERE } as const;
    const request = { ...names, job, action, env: {}, ...more };
    const { status } = await executor.start(request, (_, bytes) => void (printed += bytes)).done;
    assert.equal(status, "ok", printed);
    return printed.trimEnd().split("\n");
  };
  const ours = ["titan.py", "titan_job.py"].map((name) => join(workDir, PYTHON_FOLDER, name));
  try {
    const [first, second, third] = await Promise.all([
      imports("plain", {}),
      imports("own", { env: { PYTHONPATH: own } }),
      imports("beside", { action: { type: "file", file: "where.py", args: [] }, project }),
    ]);
    assert.deepEqual(first, ours);
    assert.deepEqual(first.map((file) => realpathSync(file)),
      ["titan.py", "titan_job.py"].map((name) => join(SDK, name)));
    assert.deepEqual(second, [ours[0], join(own, "titan_job.py")]);
    assert.deepEqual(third, [ours[0], join(workDir, "r", "beside.1", "titan_job.py")]);
  } finally {
    await executor.close();
  }
  assert.deepEqual(readdirSync(SDK), before);
  // The links lead out of the folder, in which somebody's project may be as well.
  const { files } = await packProject(nodeHost(), home);
  assert.ok(files > 0);
});

test("without our modules, or without room for links to them, a job has the variable that it had",
  () => {
    const [home, notes] = [tempFolder(), [] as string[]];
    const onNote = (text: string): void => void notes.push(text);
    const folders = nodeWorkFolders(home);
    const folder = join(home, "python");
    assert.equal(pythonFolder(folders, { folder, source: home, onNote }), undefined);
    assert.deepEqual(notes, []);
    assert.equal(pythonFolder(folders, { folder, onNote }), folder);
    const inFile = join(folder, "titan.py", "python");
    assert.equal(pythonFolder(folders, { folder: inFile, onNote }), undefined);
    assert.match(notes.join(), /^titan_job cannot be imported by jobs: ENOTDIR/);
    assert.deepEqual(withPython({ A: "1" }, undefined), { A: "1" });
    assert.deepEqual(withPython({ PYTHONPATH: "" }, "/p"), { PYTHONPATH: "/p" });
    assert.deepEqual(withPython({ PYTHONPATH: "a:b" }, "/p"), { PYTHONPATH: "a:b:/p" });
  });
