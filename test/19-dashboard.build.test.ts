/**
 * Chapter 19: the constructor's edits of a text: what changes is what was meant, and nothing else.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Prng } from "#simulation";
import {
  isDocument,
  readDocument,
  edit,
  type Document,
} from "../src/dashboard/page/build/document.ts";
import { removeAt, setAt, withChange } from "../src/dashboard/page/build/edit.ts";
import { connect, disconnect, wayBetween } from "../src/dashboard/page/build/edges.ts";
import { addJob, removeJobs, renameJob } from "../src/dashboard/page/build/jobs.ts";
import { copyJobs, pasteJobs } from "../src/dashboard/page/build/paste.ts";
import { plainValue, type Path } from "../src/dashboard/page/build/slots.ts";
import { applySplices, difference } from "../src/dashboard/page/build/splice.ts";
import { pipelineOf, written, type JobValue } from "./19-dashboard.build.support.ts";

function doc(text: string): Document {
  const read = readDocument(text);
  assert.ok(isDocument(read), JSON.stringify(read));
  return read;
}

function jobsOf(document: Document): JobValue[] {
  return document.jobs.map(({ node }) => plainValue(node) as JobValue);
}

function set(text: string, path: Path, value: unknown): string {
  return edit(doc(text), setAt(doc(text), path, value)).text;
}

function remove(text: string, path: Path): string {
  return edit(doc(text), removeAt(doc(text), path)).text;
}

/** The text of each job, with the line ends that it has. */
function slices({ places, jobs }: Document): string[] {
  return jobs.map(({ span }) => places.text.slice(span.start, span.end).trimEnd());
}

const BLOCK = `# why
name: n  # the name
jobs:
  # first
  - id: a   # an id
    run: |  # a script
      one

      two

    retries: 2
  - id: b
    run: make
    env:
      A: "1"  # one
      B: "2"
    depends_on: a
`;

test("setAt() changes a value where it stands, and keeps the comment behind it", () => {
  assert.equal(set(BLOCK, ["name"], "m"), BLOCK.replace("name: n ", "name: m "));
  assert.equal(set(BLOCK, ["jobs", 0, "retries"], 3), BLOCK.replace("retries: 2", "retries: 3"));
  assert.equal(set(BLOCK, ["jobs", 1, "env", "A"], "x y"), BLOCK.replace('A: "1" ', "A: x y "));
  const script = "one\n\n      two\n";
  assert.equal(set(BLOCK, ["jobs", 0, "run"], "x\ny\n"),
    BLOCK.replace(script, "x\n      y\n").replace("run: |  #", "run: |  #"));
  assert.equal(set(BLOCK, ["jobs", 0, "run"], "x"),
    BLOCK.replace(`|  # a script\n      ${script}`, "x  # a script\n"));
  assert.equal(set(BLOCK, ["jobs", 0, "id"], "p\nq"),
    BLOCK.replace("id: a   # an id", "id: |-   # an id\n      p\n      q"));
});

test("setAt() puts a new key where its kind stands, and removeAt() takes its line out", () => {
  const added = set(BLOCK, ["jobs", 1, "shell"], "bash");
  assert.equal(added, BLOCK.replace("run: make\n", "run: make\n    shell: bash\n"));
  assert.equal(remove(added, ["jobs", 1, "shell"]), BLOCK);
  const retries = set(BLOCK, ["jobs", 0, "timeout"], "5m");
  assert.equal(retries, BLOCK.replace("      two\n", "      two\n    timeout: 5m\n"));
  assert.equal(remove(retries, ["jobs", 0, "timeout"]), BLOCK);
  assert.equal(remove(BLOCK, ["jobs", 1, "env", "A"]), BLOCK.replace('      A: "1"  # one\n', ""));
  const without = remove(remove(BLOCK, ["jobs", 1, "env", "A"]), ["jobs", 1, "env", "B"]);
  assert.equal(without.includes("env"), false);
  // The first entry stands behind the dash: the next one takes its place, a comment keeps its own.
  assert.equal(remove("jobs:\n- id: a\n  run: b\n", ["jobs", 0, "id"]), "jobs:\n- run: b\n");
  assert.equal(remove("jobs:\n- id: a\n  # why\n  run: b\n", ["jobs", 0, "id"]),
    "jobs:\n-\n  # why\n  run: b\n");
  assert.equal(set("{name: n, jobs: [{id: a}]}", ["jobs", 0, "run"], "b c"),
    '{name: n, jobs: [{id: a, "run": "b c"}]}');
  assert.equal(set("name: n\njobs:\n  - {id: a, run: b}\n", ["jobs", 0, "needs"], ["x"]),
    "name: n\njobs:\n  - {id: a, run: b, needs: [x]}\n");
});

test("a text that keeps its blank lines keeps them, and a comment behind a list " +
  "goes with it", () => {
  const keeping = "jobs:\n- id: a\n  run: |+\n    x\n\n\n  # next\n- id: b\n";
  assert.equal(set(keeping, ["jobs", 0, "shell"], "sh"),
    keeping.replace("x\n\n\n", "x\n\n\n  shell: sh\n"));
  const listed = "jobs:\n- id: a\n  needs:\n  - b # why\n  - c # too\n  run: x # x\n";
  assert.equal(
    set(listed, ["jobs", 0, "needs"], ["d"]),
    "jobs:\n- id: a\n  needs: [d]\n  run: x # x\n",
  );
});

test("an alias and a merge key are not edited through: the job gets its own value", () => {
  const text = "x-e: &e {A: 1}\nx-b: &b {retries: 1}\nname: n\njobs:\n" +
    "  - {id: a, run: b, env: *e}\n  - id: c\n    <<: *b\n    run: d\n    env: *e # shared\n";
  const own = set(text, ["jobs", 1, "env", "A"], "2");
  assert.equal(own, text.replace("env: *e # shared", "env: # shared\n      A: \"2\""));
  const merged = set(text, ["jobs", 1, "retries"], 5);
  assert.equal(
    merged,
    text.replace("    env: *e # shared", "    env: *e # shared\n    retries: 5"),
  );
  assert.throws(() => remove(text, ["jobs", 1, "retries"]), /comes from an anchor/);
});

test("every lesson's pipeline goes through the constructor byte for byte", () => {
  const files = readdirSync("lessons", { recursive: true, encoding: "utf8" })
    .filter((name) => /\.ya?ml$/.test(name));
  assert.ok(files.length > 10);
  for (const name of files) {
    const text = readFileSync(`lessons/${name}`, "utf8");
    const read = readDocument(text);
    if (!isDocument(read) || read.jobs.length === 0) continue; // one that is broken on purpose
    assert.equal(edit(read, []).text, text);
    const { document, key } = addJob(read, "task");
    assert.equal(removeJobs(document, [key]).text, text, name);
    const [first] = read.jobs;
    if (first!.id === undefined) continue;
    const renamed = renameJob(read, first!.key, "zz");
    assert.equal(renameJob(renamed, "zz", first!.id).text, text, name);
  }
});

// ── the same for thousands of pipelines ──────────────────────────────────────────────────────────

interface Case {
  readonly d: Prng;
  readonly before: Document;
  readonly jobs: JobValue[];
}

/** Each does something to the text and to the value, which must then be equal. */
const OPERATIONS: Record<string, (c: Case) => { after: Document; jobs: JobValue[] } | undefined> = {
  set({ d, before, jobs }) {
    const at = d.int(0, jobs.length - 1);
    const [key, value] = d.pick<[string, unknown]>([
      ["run", "a\nb\n"],
      ["run", "x # y"],
      ["priority", 7],
      ["env", { Z: "1\n2" }],
      ["timeout", "1h"],
      ["requirement", ["GPU", "x"]],
      ["hitl", { message: "?" }],
      ["args", []],
      ["file", "- x"],
    ]);
    const after = edit(before, setAt(before, ["jobs", at, key], value));
    return { after, jobs: jobs.map((job, i) => (i === at ? { ...job, [key]: value } : job)) };
  },
  deep({ d, before, jobs }) {
    const at = d.int(0, jobs.length - 1);
    const path = d.pick<Path>([["env", "A"], ["retry", "jitter"], ["hitl", "form", 0, "label"]]);
    const after = edit(before, setAt(before, ["jobs", at, ...path], "v"));
    const changed = withChange(jobs, [at, ...path], "v") as JobValue[];
    return { after, jobs: changed };
  },
  unset({ d, before, jobs }) {
    const at = d.int(0, jobs.length - 1);
    const key = d.pick(Object.keys(jobs[at]!));
    const after = edit(before, removeAt(before, ["jobs", at, key]));
    const { [key]: _gone, ...rest } = jobs[at]!;
    return { after, jobs: jobs.map((job, i) => (i === at ? rest as JobValue : job)) };
  },
  rename({ d, before, jobs }) {
    const { id } = d.pick(jobs);
    const swap = (one: unknown): unknown => (one === id ? "new" : one);
    return {
      after: renameJob(before, id, "new"),
      jobs: jobs.map((job) => ({
        ...job, id: swap(job.id) as string, ...mapped(job, swap),
        ...(job["affinity"] === id && { affinity: "new" }),
      })),
    };
  },
  remove({ d, before, jobs }) {
    const gone = jobs.filter(() => d.chance(0.3)).map(({ id }) => id);
    const rest = jobs.filter(({ id }) => !gone.includes(id));
    return { after: removeJobs(before, gone), jobs: rest.map((job) => without(job, gone)) };
  },
  connect({ d, before, jobs }) {
    const [from, to] = [d.pick(jobs).id, d.pick(jobs).id];
    if (from === to || wayBetween(before, to, from) || wayBetween(before, from, to)) {
      return undefined;
    }
    return {
      after: connect(before, from, to),
      jobs: jobs.map((job) => (job.id !== to ? job :
        { ...job, [parentKey(job)]: [...parentsOf(job), from] })),
    };
  },
  disconnect({ d, before, jobs }) {
    const child = d.pick(jobs);
    const [parent] = parentsOf(child);
    if (parent === undefined) return undefined;
    return {
      after: disconnect(before, parent, child.id),
      jobs: jobs.map((job) => (job === child ? without(job, [parent]) : job)),
    };
  },
  add({ before, jobs }) {
    const { document } = addJob(before, "gate");
    const added = { id: "gate-1", call: "titan:noop", hitl_message: "Go on?" };
    return { after: document, jobs: [...jobs, added] };
  },
  duplicate({ d, before, jobs }) {
    const copied = jobs.filter(() => d.chance(0.5));
    if (copied.length === 0) return undefined;
    const ids = copied.map(({ id }) => id);
    const swap = (one: unknown): unknown => (ids.includes(one as string) ? `${one}-copy` : one);
    const { document, keys } = pasteJobs(before, copyJobs(before, ids));
    assert.deepEqual(keys, ids.map(swap));
    return {
      after: document,
      jobs: [...jobs, ...copied.map((job) => ({
        ...job, id: swap(job.id) as string, ...mapped(job, swap),
        ...(job["affinity"] !== undefined && { affinity: swap(job["affinity"]) }),
      }))],
    };
  },
};

const parentKey = (job: JobValue): string => ("needs" in job ? "needs" : "depends_on");
const parentsOf = (job: JobValue): string[] =>
  [job[parentKey(job)] ?? []].flat() as string[];
const mapped = (job: JobValue, swap: (one: unknown) => unknown): object =>
  (parentKey(job) in job ? { [parentKey(job)]: parentsOf(job).map(swap) } : {});

function without(job: JobValue, gone: readonly string[]): JobValue {
  const copy = { ...job };
  const rest = parentsOf(job).filter((id) => !gone.includes(id));
  if (rest.length === 0) delete copy[parentKey(job)];
  else copy[parentKey(job)] = rest;
  const place = job["affinity"];
  if (gone.includes(place as string) || (place === true && rest.length === 0)) {
    delete copy["affinity"];
  }
  return copy;
}

/** One text stands for a list of one. */
function even(jobs: JobValue[]): JobValue[] {
  return jobs.map((job) =>
    parentKey(job) in job ? { ...job, [parentKey(job)]: parentsOf(job) } : job,
  );
}

function attempt<T>(act: () => T, where: string): T {
  try {
    return act();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${where}`, { cause: error });
  }
}

test("600 edits of pipelines in many hands change the value as meant, and no other job", () => {
  for (let seed = 1; seed <= 600; seed++) {
    const d = new Prng(seed);
    const before = doc(written(d, pipelineOf(d)));
    const jobs = jobsOf(before);
    const name = d.pick(Object.keys(OPERATIONS));
    const at = `seed ${seed}, ${name}:\n${before.text}`;
    const done = attempt(() => OPERATIONS[name]!({ d, before, jobs }), at);
    if (done === undefined) continue;
    const { after } = done;
    const why = `${at}\n──\n${after.text}`;
    assert.deepEqual(even(jobsOf(after)), even(done.jobs), why);
    assert.deepEqual({ ...plainValue(after.root) as object, jobs: 0 },
      { ...plainValue(before.root) as object, jobs: 0 }, why);
    const [was, is] = [slices(before), slices(after)];
    const kept = new Set(is);
    for (const [at, job] of jobs.entries()) {
      if (done.jobs.some((other) => JSON.stringify(other) === JSON.stringify(job))) {
        assert.ok(kept.has(was[at]!), `${job.id} was touched, ${why}`);
      }
    }
    if (before.text.includes("\r")) assert.doesNotMatch(after.text, /[^\r]\n/, why);
  }
});

test("an edge to a job that is in neither document is left out of what is pasted", () => {
  const target = doc("name: n\njobs:\n  - {id: a, run: x}\n");
  const { document, keys } = pasteJobs(target, "- {id: b, run: y, needs: [a, zz]}\n- {run: z}\n");
  assert.deepEqual(jobsOf(document).slice(1), [
    { id: "b", run: "y", needs: ["a"] }, { id: "job", run: "z" },
  ]);
  assert.deepEqual(keys, ["b", "job"]);
  for (const [text, why] of [["a: [", "line 1 is no YAML"], ["x", "no job in it"],
    ["- 1", "no job in it"], ["", "no job in it"]] as const) {
    assert.throws(() => pasteJobs(target, text), new RegExp(why));
  }
});

test("difference() is the one splice that makes a text of an editor", () => {
  for (const [from, to] of [
    ["a\r\nb", "a\nxb"],
    ["aa", "aaa"],
    ["", "x"],
    ["x", ""],
    ["ab", "ba"],
  ]) {
    const after = applySplices(from!, [difference(from!, to!)]);
    assert.equal(after.replaceAll("\r\n", "\n"), to);
  }
  assert.equal(applySplices("a\r\nb\r\nc", [difference("a\r\nb\r\nc", "a\nc")]), "a\r\nc");
});
