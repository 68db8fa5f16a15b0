/** Chapter 19: the files of a pipeline in the constructor, and a job that is tested alone. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parsePipeline } from "#pipeline";
import { openBoard, selected } from "../src/dashboard/page/build/board.ts";
import { currentDesk, update } from "../src/dashboard/page/build/desk.ts";
import {
  bodyOf, decoded, MAX_BODY_BYTES, MAX_FILE_BYTES, namedFiles, NO_FILES, withFile, type Files,
} from "../src/dashboard/page/build/files.ts";
import { trialDialog } from "../src/dashboard/page/build/trial-dialog.ts";
import { firstGiven, trialOf, wantedOf } from "../src/dashboard/page/build/trial.ts";
import type { State } from "../src/dashboard/page/state.ts";
import type { VNode } from "../src/dashboard/page/vdom.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const MIB = 1024 * 1024;

test("withFile() keeps texts at paths inside of a folder, and says why not", () => {
  let files: Files = withFile(NO_FILES, "scripts/a.py", "print(1)");
  assert.equal(withFile(files, "scripts/a.py", "x").size, 1);
  assert.equal(withFile(files, "scripts/a.py", undefined).size, 0);
  for (const path of ["", "/a", "~/a", "../a", "a/../b", "a//b", "./a", "C:\\a", "a\nb", "a/"]) {
    assert.throws(() => withFile(files, path, "x"), /path/, path);
  }
  assert.throws(() => withFile(files, "scripts", "x"), /there is scripts\/a\.py already/);
  assert.throws(() => withFile(files, "scripts/a.py/b", "x"), /there is scripts\/a\.py already/);
  assert.throws(() => withFile(files, "big", "x".repeat(MAX_FILE_BYTES + 1)),
    /than 1 MiB.*titan run/);
  assert.throws(() => withFile(files, "wide", "€".repeat(MAX_FILE_BYTES / 3 + 1)), /than 1 MiB/);
  for (let at = 0; at < 3; at++) files = withFile(files, `b${at}`, "x".repeat(MIB));
  assert.throws(() => withFile(files, "b3", "x".repeat(MIB)), /together.*4 MiB.*titan run/);
});

test("decoded() takes texts and no others", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  assert.equal(decoded("a", bytes("ünï\n")), "ünï\n");
  assert.throws(() => decoded("m.bin", Uint8Array.of(0xff, 0xd8)), /take m\.bin: it is no text/);
  assert.throws(() => decoded("z", bytes("a\0b")), /no text/);
  assert.throws(() => decoded("huge", new Uint8Array(MAX_FILE_BYTES + 1)), /larger than 1 MiB/);
});

test("bodyOf() is what is sent: texts, or names alone, or the folder of a past run", () => {
  const files = new Map([["a.py", "x"], ["__proto__", "y"]]);
  const sent = (more: object): unknown =>
    JSON.parse(bodyOf("name: n", { files, from: undefined, ...more }));
  assert.deepEqual(Object.entries((sent({}) as { files: object }).files), [...files]);
  assert.equal((sent({ namesOnly: true }) as { files: { "a.py": string } }).files["a.py"], "");
  assert.deepEqual(sent({ files: NO_FILES, from: "r-1" }),
    { pipeline: "name: n", files: {}, projectOf: "r-1" });
  assert.equal("projectOf" in (sent({ from: "r-1" }) as object), false);
  assert.throws(() => bodyOf("x".repeat(MAX_BODY_BYTES), { files, from: undefined }), /8 MiB/);
});

const TEXT = `name: n
agent: {id: shared, budget: {jobs: 9}}
jobs:
  - {id: load, run: ./load, outputs: [out/a.csv, b.txt], hitl_message: "Go on?"}
  - {id: db, type: service, run: serve, needs: load}
  - {id: other, run: y}
  - id: train
    file: ./train.py
    needs: [load, db, other]
    inputs: [{job: load, path: out/a.csv}, {job: load, path: b.txt, as: c.txt}]
    hitl_message: Good?
    affinity: load
    delay: 1h
    retries: 2
  - {id: sum, call: "lib/sum.js#add", with: [1, 2], needs: train}
`;

test("namedFiles() are the files and modules that jobs name", () => {
  const { document } = openBoard(TEXT);
  assert.deepEqual([...namedFiles(document)], [["train.py", "train"], ["lib/sum.js", "sum"]]);
});

test("a job is tested alone: stand-ins hand on what was given, services are themselves", () => {
  const { document } = openBoard(TEXT);
  const wanted = wantedOf(document, "train");
  assert.deepEqual(wanted, {
    parents: ["load", "other"], isCall: false,
    files: [{ job: "load", path: "out/a.csv" }, { job: "load", path: "b.txt" }],
  });
  const text = trialOf(document, "train", {
    outputs: { load: '{"rows": 3}', other: "[1]" },
    files: { "load/out/a.csv": "a,b\n1,'€\n", "load/b.txt": "no line end" }, input: "",
  });
  const { name, jobs, agent } = parsePipeline(text);
  assert.deepEqual([name, agent], ["n-test", { budget: { jobs: 9 } }]);
  const [load, other, db, train] = jobs;
  assert.deepEqual(jobs.map(({ id, dependsOn }) => [id, dependsOn]), [
    ["load", []], ["other", []], ["db", []], ["train", ["load", "other", "db"]],
  ]);
  assert.deepEqual(other!.action, { type: "call", target: "titan:echo", input: [1] });
  assert.equal(db!.service !== undefined, true);
  assert.deepEqual([train!.gate, train!.delayMs, train!.affinity, train!.retry.maxAttempts],
    [undefined, 0, undefined, 3]);
  assert.deepEqual(train!.files?.inputs?.map(({ path }) => path), ["out/a.csv", "b.txt"]);
  const folder = mkdtempSync(join(tmpdir(), "titan-trial-"));
  try {
    assert.ok(load!.action.type === "shell");
    execFileSync("sh", ["-e", "-c", load!.action.script],
      { cwd: folder, env: { ...process.env, TITAN_OUTPUT: join(folder, "output") } });
    const read = (path: string): string => readFileSync(join(folder, path), "utf8");
    assert.deepEqual([read("out/a.csv"), read("b.txt"), read("output")],
      ["a,b\n1,'€\n", "no line end", '{"rows":3}']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Elements of a tree, the outer ones first. */
function elementsOf(node: VNode | string | unknown): VNode[] {
  if (typeof node !== "object" || node === null || !("children" in node)) return [];
  const own = node as VNode;
  return [own, ...own.children.flatMap(elementsOf)];
}

test("fields of a test that are filled in before the next picture are all kept", () => {
  const board = selected(openBoard(TEXT), ["train"]);
  const context = { dispatch: () => undefined } as unknown as Context;
  const desk = update(context, (now) => ({ ...now, board, trials: new Map() }));
  const dialog = trialDialog(desk, { runs: new Map(), ui: {} } as unknown as State, context);
  const fields = elementsOf(dialog).filter(({ tag }) => tag === "textarea");
  assert.equal(fields.length, 4, "two outputs and two files");
  for (const [at, { props }] of fields.entries()) {
    (props["oninput"] as (event: object) => void)({ target: { value: `text ${at}` } });
  }
  assert.deepEqual(currentDesk().trials.get("train"), {
    outputs: { load: "text 0", other: "text 1" },
    files: { "load/out/a.csv": "text 2", "load/b.txt": "text 3" }, input: "",
  });
});

test("a stand-in writes to paths that a shell would take apart", () => {
  const text = "name: n\njobs:\n- {id: a, run: x}\n- id: b\n  run: y\n  needs: a\n" +
    '  inputs: [{job: a, path: "it\'s $HOME/b c.txt"}]\n';
  const { document } = openBoard(text);
  const trial = trialOf(document, "b", { outputs: {}, files: {}, input: "" });
  assert.match(trial, /mkdir -p 'it'\\''s \$HOME'\n.*base64 -d > 'it'\\''s \$HOME\/b c\.txt'/);
});

test("a call is tested with an input of its own; what is no JSON is named", () => {
  const { document } = openBoard(TEXT);
  assert.equal(firstGiven(document, "sum").input, "[\n  1,\n  2\n]");
  const given = { outputs: {}, files: {}, input: "[3]" };
  const { jobs } = parsePipeline(trialOf(document, "sum", given));
  const calls = jobs.map(({ action }) => action.type === "call" && [action.target, action.input]);
  assert.deepEqual(calls, [["titan:noop", null], ["lib/sum.js#add", [3]]]);
  assert.throws(() => trialOf(document, "sum", { ...given, outputs: { train: "rows" } }),
    /the output of train is no JSON .*quotes/);
  assert.throws(() => trialOf(document, "sum", { ...given, input: "{" }), /the input of sum/);
  const grouped = openBoard("name: g\nagent_run_id: x\njobs: [{id: a, run: b}]");
  assert.match(trialOf(grouped.document, "a", { ...given, input: "" }), /agent_run_id: g-test/);
});
