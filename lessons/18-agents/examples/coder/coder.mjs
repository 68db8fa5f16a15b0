/** Runs the tests of a folder, and lets an agent read and patch its files until they pass. */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { job } from "titan-orchestrator/job";
import { agent, chooseModel, tool } from "titan-orchestrator/agent";

const model = await chooseModel({ script: "script.jsonl", price: { in: 0.4, out: 1.6 } });
const [source, tests] = process.argv.slice(2);

// #region folder
// An attempt begins with fresh files. This folder is the run's, so what a step has written is there
// when the next attempt finds the step in its journal.
const folder = join(process.env.TITAN_SHARED, "work");
await job.step("copy", { source }, async () => {
  await mkdir(folder, { recursive: true });
  await cp(source, folder, { recursive: true });
}, { effect: "idempotent" });
const files = await readdir(folder).catch(() => {
  throw new Error("Cannot go on: the files of this run are on another machine");
});
// #endregion

/** Runs the tests: whether they passed, and the end of the report. */
function runTests() {
  const options = { cwd: folder, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(process.execPath, ["--test-reporter=tap", tests], options, (error, stdout) => {
      resolve({ passed: error === null, output: stdout.slice(-6000) });
    });
  });
}

// #region tools
const file = { type: "string", enum: files };
const tools = [
  tool({
    name: "run_tests",
    description: "Runs the tests. Returns whether all passed, and the report.",
    effect: "read",
    parameters: { type: "object" },
    run: runTests,
  }),
  tool({
    name: "read_file",
    description: "The text of a file.",
    effect: "read",
    parameters: { type: "object", properties: { file }, required: ["file"] },
    run: ({ file }) => readFile(join(folder, file), "utf8"),
  }),
  tool({
    name: "replace",
    description: "Replaces a piece of a file, which must be in it once, by another.",
    effect: "idempotent",
    parameters: {
      type: "object",
      properties: { file, old: { type: "string", minLength: 1 }, new: { type: "string" } },
      required: ["file", "old", "new"],
    },
    run: async ({ file, old, new: text }) => {
      if (file.includes(".test.")) throw new Error("the tests are right; change the code");
      const path = join(folder, file);
      const before = await readFile(path, "utf8");
      const parts = before.split(old);
      if (parts.length === 2) return writeFile(path, parts.join(text)).then(() => "replaced");
      // Perhaps this call was made, and its result was lost with the attempt.
      if (parts.length === 1 && before.includes(text)) return "it is replaced already";
      throw new Error(`the old piece is in ${file} ${parts.length - 1} times`);
    },
  }),
];
// #endregion

const coder = agent({
  model,
  name: "coder",
  tools,
  system: "You repair code. Run the tests, read what you need, and patch the code until all tests pass. Keep " +
    "patches small. Then answer with one sentence for each cause.",
  budget: { turns: 20 },
});
const { answer, turns, usage } = await coder.run(job, `Repair the files ${files.join(", ")}.`);

// #region verify
// A model that says that the tests pass is no proof.
const proof = await job.step("verify", { turns }, runTests, { effect: "read" });
if (!proof.passed) {
  console.error(proof.output);
  throw new Error("the agent is done, and the tests fail");
}
// #endregion
const repaired = {};
for (const name of files) {
  const [before, after] = await Promise.all([source, folder].map((dir) => readFile(join(dir, name), "utf8")));
  if (before === after) continue;
  repaired[name] = after;
  const [was, is] = [before, after].map((text) => text.split("\n"));
  const lost = was.filter((line) => !is.includes(line)).map((line) => `-${line}`);
  const made = is.filter((line) => !was.includes(line)).map((line) => `+${line}`);
  console.log(`\n${[name, ...lost, ...made].join("\n")}`);
}
await job.output({ answer, turns, usage, repaired });
console.log(`\nall tests pass after ${turns} replies, for $${(usage.usdMicros / 1e6).toFixed(4)}`);
