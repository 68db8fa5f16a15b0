/** Jobs of version 1, from their text to a run. All of it is arithmetic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OldFormatError, parseDag, parseJob, type OldJob } from "../src/dialect/jobs.ts";
import {
  circleOf, failingJobs, planJobs, runName, type PlanOptions,
} from "../src/dialect/plan.ts";
import type { ZipFile } from "../src/dialect/zip.ts";
import { PipelineSpec } from "#wire";

const CODE = Buffer.from("print('a script that is longer than a tag')").toString("base64");
const one = (text: string): OldJob => parseDag(text)[0]!;
const sourceOf = ({ source }: Pick<OldJob, "source">): string =>
  source.type === "inline" ? `${source.file}: ${source.content}` : `${source.zip} ${source.entry}`;
const script = "print('a script that is longer than a tag')";

test("parseDag() reads the forms that the SDK sends", () => {
  const job = one(` a|RUN_PAYLOAD|a.py|x y|${CODE}|GPU|-5|200|[b, DAG-c,b]|AFFINITY `);
  assert.deepEqual({ ...job, source: sourceOf(job) }, {
    id: "a", isService: false, source: `a.py: ${script}`, args: ["x", "y"], port: 0,
    requirement: "GPU", priority: -5, delayMs: 200, parents: ["b", "c"], affinity: true,
  });
  const service = one(`DAG-s|DEPLOY_PAYLOAD|s.py|${CODE}|8095|GENERAL|1|0|[]`);
  assert.deepEqual([service.id, service.isService, service.port, sourceOf(service)],
    ["s", true, 8095, `s.py: ${script}`]);
  const zip = one("z|RUN_ARCHIVE|p.zip/src/main.py|x|HIGH_MEM|2|0|[]|STICKY");
  assert.deepEqual([sourceOf(zip), zip.args, zip.requirement, zip.affinity],
    ["p.zip src/main.py", ["x"], "HIGH_MEM", true]);
  const archive = one("z|START_ARCHIVE_SERVICE|p.zip/m.py||0|GENERAL|1|0|[]");
  assert.deepEqual([sourceOf(archive), archive.args, archive.port, archive.isService],
    ["p.zip m.py", [], 0, true]);
});

test("parseDag() reads shorter forms, and a skill before the command", () => {
  const parts = (text: string) => {
    const job = one(text);
    return [sourceOf(job), job.args.join(" "), job.requirement];
  };
  const at = `a.py: ${script}`;
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py|${CODE}|1|0|[]`), [at, "", "GENERAL"]);
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py|${CODE}|GPU|1|0|[]`), [at, "", "GPU"]);
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py|data|${CODE}|1|0|[]`), [at, "data", "GENERAL"]);
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py|x|y|${CODE}|GPU|1|0|[]`), [at, "x|y", "GPU"]);
  assert.deepEqual(parts(`a|GPU|RUN_PAYLOAD|a.py|x|${CODE}|1|0|[]`), [at, "x", "GPU"]);
  assert.deepEqual(parts(`a|GPU|RUN_PAYLOAD|a.py|x|${CODE}|FPGA|1|0|[]`), [at, "x", "FPGA"]);
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py||${CODE}||1|0|[]`), [at, "", "GENERAL"]);
  assert.deepEqual(parts("a|RUN_ARCHIVE|p.zip/m.py|1|0|[]"), ["p.zip m.py", "", "GENERAL"]);
  assert.deepEqual(parts("a|RUN_PAYLOAD|dir/a.py|||GENERAL|1|0|[]"), ["a.py: ", "", "GENERAL"]);
  const [tag, word] = ["t".repeat(19), "t".repeat(20)];
  assert.equal(parts(`a|RUN_PAYLOAD|a.py|${CODE}|${tag}|1|0|[]`)[2], tag);
  assert.deepEqual(parts(`a|RUN_PAYLOAD|a.py|${CODE}|${word}|1|0|[]`),
    [`a.py: ${Buffer.from(word, "base64")}`, CODE, "GENERAL"]);
  // Of two fields that could each be either, the script is the longer one, else the first.
  assert.deepEqual(parts("a|RUN_PAYLOAD|a.py|abcd|wxyz|1|0|[]"),
    [`a.py: ${Buffer.from("abcd", "base64")}`, "", "wxyz"]);
  const ports = (tail: string): unknown[] => {
    const { port, requirement } = one(`a|DEPLOY_PAYLOAD|s.py|${CODE}${tail}|1|0|[]`);
    return [port, requirement];
  };
  assert.deepEqual([ports(""), ports("|80"), ports("|GPU"), ports("|80|GPU"), ports("||GPU")], [
    [0, "GENERAL"], [80, "GENERAL"], [0, "GPU"], [80, "GPU"], [0, "GPU"],
  ]);
});

test("parseDag() keeps a semicolon in arguments, and skips what is blank between two jobs", () => {
  const job = (id: string, args: string): string =>
    `${id}|RUN_PAYLOAD|a.py|${args}|${CODE}|GENERAL|1|0|[]`;
  const jobs = parseDag(`${job("a", "x;y ; [z]:1")} ; ; ${job("b", ";")};${job("c", "")}|STICKY;`);
  assert.deepEqual(jobs.map(({ id, args }) => [id, args.join(" ")]),
    [["a", "x;y ; [z]:1"], ["b", ";"], ["c", ""]]);
});

test("parseDag() refuses as a whole, in words, what it cannot read", () => {
  const good = `a|RUN_PAYLOAD|a.py||${CODE}|GENERAL|1|0|[]`;
  const why = (text: string, read: (text: string) => unknown = parseDag): string => {
    try {
      read(text);
    } catch (error) {
      assert.ok(error instanceof OldFormatError, String(error));
      return error.message.replace(/^Cannot read (?:the job|job \d+) \(.*?…?\): /s, "");
    }
    return "read";
  };
  const long = "x".repeat(129);
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["", /^Cannot read the DAG: it has no jobs$/], [" ; ;", /has no jobs$/],
    ["a|RUN_PAYLOAD|a.py", /^it does not end in \[parents\]$/],
    [`${good} ; b`, /^it does not end in/],
    [`b ; ${good}`, /^its id "b ; a" has a semicolon in it$/],
    ["a|RUN_PAYLOAD|a.py|[]", /^it has no priority and delay/],
    [`a|RUN_PAYLOAD|a.py|${CODE}|x|0|[]`, /^it has no priority and delay/],
    [`a|RUN_PAYLOAD|a.py|${CODE}|1|-1|[]`, /^a delay of -1 ms is none$/],
    [`a|RUN_PAYLOAD|a.py|${CODE}|9999999999999999999|0|[]`, /^the priority 1000000\d+ is too/],
    [good.replace("a|", "|"), /^it has an empty id$/],
    [good.replace("a|", `${long}|`), /^its id has 129 bytes, more than 128$/],
    [good.replace("RUN", "JUMP"), /^"JUMP_PAYLOAD" is none of RUN_PAYLOAD, DEPLOY_PAYLOAD, /],
    ["a|RUN_PAYLOAD|1|0|[]", /^it names no file$/],
    ["a|RUN_PAYLOAD|a.py|1|0|[]", /^it has no script for a\.py$/],
    [good.replace(CODE, "ä"), /^the script of a\.py is not base64$/],
    [good.replace("a.py", ".."), /^"\.\." is no name of a file$/],
    [good.replace("GENERAL", "two words"), /^"two words" is no capability of a worker$/],
    [good.replace("RUN_PAYLOAD|a.py||", "DEPLOY_PAYLOAD|a.py|"), /read/],
    [`a|DEPLOY_PAYLOAD|a.py|${CODE}|80000|GPU|1|0|[]`, /^"80000" is no port$/],
    ["a|RUN_ARCHIVE|p.zip|1|0|[]", /^"p\.zip" is no file in a zip/],
    ["a|RUN_ARCHIVE|d/p.zip/m.py|1|0|[]", /^"d\/p\.zip\/m\.py" is no file in a zip/],
    [`a${"|".repeat(1001)}1|0|[]`, /^it has more than 1000 fields$/],
  ];
  for (const [text, pattern] of wrong) assert.match(why(text), pattern, text.slice(0, 60));
  assert.match(why("|RUN_PAYLOAD|a", parseJob), /^it has an empty id$/);
  assert.match(why("SKILL|DATA|1|0", parseJob), /^"DATA" is none of/);
});

test("parseDag() takes no longer than its text is long, whatever it consists of", () => {
  const bytes = 2 * 1024 * 1024;
  const began = process.cpuUsage();
  const texts = [";", "|", "[", "]", " ", ",", "a;", "];", "|AFFINITY;", "[]|", "a|RUN_ARCHIVE|"];
  for (const text of texts) {
    try {
      parseDag(text.repeat(bytes / text.length));
    } catch (error) {
      assert.ok(error instanceof OldFormatError);
    }
  }
  assert.ok(process.cpuUsage(began).user < 20e6);
});

test("parseJob() reads a job alone, with or without an id, priority and delay", () => {
  const parts = (text: string): unknown[] => {
    const job = parseJob(text);
    return [job.id, job.priority, job.delayMs, job.requirement, sourceOf(job)];
  };
  const at = `a.py: ${script}`;
  assert.deepEqual(parts(`j-1|RUN_PAYLOAD|a.py|x|${CODE}|GPU|10|1000`),
    ["j-1", 10, 1000, "GPU", at]);
  assert.deepEqual(parts(`RUN_PAYLOAD|a.py||${CODE}|GENERAL`), [undefined, 1, 0, "GENERAL", at]);
  assert.deepEqual(parts(`RUN_PAYLOAD|a.py||${CODE}|GENERAL|7`), [undefined, 1, 7, "GENERAL", at]);
});

// ── the run ──────────────────────────────────────────────────────────────────────────────────────

const OPTIONS: PlanOptions = {
  listener: { host: "127.0.0.1", port: 9090, isMasters: false }, alone: false,
  zip: async (): Promise<ZipFile[]> => [{
    path: "src/m.py", content: Buffer.from("m"), executable: false,
  }],
  hasCompleted: async (id) => id === "done",
};
const plan = (text: string, options: Partial<PlanOptions> = {}) =>
  planJobs(parseDag(text), { ...OPTIONS, ...options });
const task = (id: string, file = "a.py", args = "", parents = ""): string =>
  `${id}|RUN_PAYLOAD|${file}|${args}|${CODE}|GENERAL|1|0|[${parents}]`;

test("planJobs() gives each script a file once, and two of one name a file each", async () => {
  const other = task("c").replace(CODE, "b3RoZXI=");
  const { jobs, files } = await plan([task("a"), task("b", "a.py", "x|y"), other].join(";"));
  assert.deepEqual(files.map(({ path }) => path), ["scripts/a.py", "scripts-2/a.py"]);
  const argv = jobs.map(({ action }) => (action.type === "command" ? action.argv.slice(3) : []));
  assert.deepEqual(argv, [
    ["titan", "", "scripts/a.py"], ["titan", "", "scripts/a.py", "x|y"],
    ["titan", "", "scripts-2/a.py"],
  ]);
  assert.deepEqual([jobs[0]?.retry?.maxAttempts, jobs[0]?.requirement], [4, []]);
  assert.deepEqual(jobs[0]?.env, { TITAN_HOST: "127.0.0.1", TITAN_PORT: "9090" });
  // It can travel.
  const spec = { name: "x", version: "titan 1", project: undefined, jobs };
  assert.deepEqual(PipelineSpec.decode(PipelineSpec.encode(spec)).jobs.length, 3);
});

test("planJobs() starts each job where the original does", async () => {
  const scripts = async (text: string, options: Partial<PlanOptions> = {}) =>
    (await plan(text, options)).jobs.map(({ action }) =>
      (action.type === "command" ? action.argv[2] : action.type));
  const run = (place: string, program: string): string =>
    `${place} && script="$TITAN_WORKDIR/$2" && shift 2 && exec ${program} "$script" "$@"`;
  assert.deepEqual(await scripts(task("a")), [run('cd "$TITAN_SHARED"', "python3 -u")]);
  assert.deepEqual(await scripts(task("a", "a.sh")), [run('cd "$TITAN_SHARED"', "bash")]);
  assert.deepEqual(await scripts(task("a"), { alone: true }), [run("true", "python3 -u")]);
  assert.deepEqual(await scripts(task("a", "a.js")), ["file"]);
  // On the master's own port, as the worker knows it: that may be another machine's.
  const listener = { host: "127.0.0.1", port: 9090, isMasters: true };
  assert.deepEqual(await scripts(task("a"), { listener }), [
    'export TITAN_HOST="${TITAN_MASTER%:*}" TITAN_PORT="${TITAN_MASTER##*:}" && '
      + run('cd "$TITAN_SHARED"', "python3 -u"),
  ]);
  const zip = "z|RUN_ARCHIVE|p.zip/src/m.py|GENERAL|1|0|[]";
  assert.deepEqual(await scripts(zip), [run('cd "$1"', "python3 -u")]);
  assert.deepEqual(await scripts(zip.replace("RUN_ARCHIVE", "START_ARCHIVE_SERVICE")),
    [run('export TITAN_PORT=9090 && cd "$1"', "python3 -u")]);
});

test("planJobs() checks the port of a script's service, and none of a zip's", async () => {
  const service = async (text: string) => (await plan(text)).jobs[0]!.service!;
  const script = await service(`my api|DEPLOY_PAYLOAD|s.py|${CODE}|8095|GENERAL|1|0|[]`);
  assert.deepEqual([script.name, script.port, script.check.type], ["my-api", 8095, "tcp"]);
  assert.deepEqual([script.restart.policy, script.restart.delayMs], ["always", 3000]);
  const bare = await service(`.s|DEPLOY_PAYLOAD|s.py|${CODE}|0|GENERAL|1|0|[]`);
  assert.deepEqual([bare.name, bare.port, bare.check.type], ["xs", undefined, "command"]);
  const first = await service(`s|DEPLOY_PAYLOAD|s.py|${CODE}|1|GENERAL|1|0|[]`);
  assert.deepEqual([first.port, first.check.type], [1, "tcp"]);
  const zip = await service("z|START_ARCHIVE_SERVICE|p.zip/src/m.py||80|GENERAL|1|0|[]");
  assert.deepEqual([zip.port, zip.check.type], [80, "command"]);
});

test("planJobs() makes a gate of a gate's script, if it asks for itself", async () => {
  const gates = async (args: string) => (await plan(task("g", "hitl_gate.py", args))).jobs[0]!.gate;
  assert.deepEqual(await gates("g 60 Really go?"), { message: "Really go?", maxWaitMs: 60_000 });
  assert.deepEqual(await gates("g Go on"), { message: "Go on", maxWaitMs: 172_800_000 });
  assert.deepEqual(await gates("g"),
    { message: "Awaiting human approval", maxWaitMs: 172_800_000 });
  assert.equal(await gates("other 60 Go?"), undefined);
  const { jobs, files, gates: questions } = await plan(task("g", "hitl_gate.py", "g 1 Go?"));
  assert.deepEqual([jobs[0]?.action.type, files.length, jobs[0]?.retry], ["call", 0, undefined]);
  assert.deepEqual([...questions], [["g", "Go?"]]);
});

test("planJobs() refuses an id twice, a file that no zip has, an unknown parent", async () => {
  await assert.rejects(plan(`${task("a")};${task("a")}`), /the id "a" is there twice/);
  await assert.rejects(plan("z|RUN_ARCHIVE|p.zip/x.py|GENERAL|1|0|[]"), /p\.zip has no file x\.py/);
  await assert.rejects(plan(task("a", "a.py", "", "far")), /it waits for "far", which is not in/);
  const large = { path: "src/m.py", content: Buffer.alloc(33 * 1024 * 1024), executable: false };
  const zip = async (): Promise<ZipFile[]> => [large];
  const two = "a|RUN_ARCHIVE|p.zip/src/m.py|1|0|[];b|RUN_ARCHIVE|q.zip/src/m.py|1|0|[]";
  await assert.rejects(plan(two, { zip }), /its DAG's zips have 69206016 bytes, more than/);
  const { jobs } = await plan(`${task("a")};${task("b", "a.py", "", "done,a")}|AFFINITY`);
  assert.deepEqual([jobs[1]?.dependsOn, jobs[1]?.affinity], [[0], 0]);
});

test("circleOf() finds a circle, and nothing in a DAG with parents elsewhere", () => {
  const jobs = parseDag(`${task("a", "a.py", "", "b")};${task("b", "a.py", "", "a")}`);
  assert.match(circleOf(jobs)!, /cycle a → b → a/);
  assert.equal(circleOf(parseDag(`${task("a", "a.py", "", "far")};${task("b", "", "", "a")
    .replace("||", "|x.py|")}`)), undefined);
  const [failing] = failingJobs(jobs, "why");
  assert.deepEqual([failing?.id, failing?.action], [
    "a", { type: "call", target: "titan:fail", input: Buffer.from('"why"') },
  ]);
});

test("runName() is what the ids share", () => {
  const name = (...ids: string[]): string => runName(ids.map((id) => ({ id })));
  assert.equal(name("a-"), "a-");
  assert.equal(name("tp-17-0", "tp-17-1"), "tp-17");
  assert.equal(name("x", "y"), "x");
  assert.equal(name("--a", "--b"), "--a");
});
