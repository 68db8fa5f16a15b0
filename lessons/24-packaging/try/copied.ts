/** Deploying by copying the files that a program names, and what happens at the first import. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const FILES: Record<string, string> = {
  "worker.mjs": 'import { run } from "./run.mjs";\nconsole.log(run("hello"));\n',
  "run.mjs":
    "export const run = (job) => `ran ${job}`;\n" +
    'export const call = async (job) => (await import("./call.mjs")).call(job);\n',
  "call.mjs": "export const call = (job) => `called ${job}`;\n",
  "later.mjs": 'import { call } from "./run.mjs";\nconsole.log(await call("hello"));\n',
};

const home = mkdtempSync(join(tmpdir(), "titan-copied-"));
const [here, there] = [join(home, "here"), join(home, "there")];
try {
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(here, name)), { recursive: true });
    writeFileSync(join(here, name), text);
  }
  mkdirSync(there);
  const copied: string[] = [];
  const show = (program: string): void => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(there, program)], {
      encoding: "utf8",
    });
    const why = /Cannot find module '[^']*?([\w.]+)' imported from \S*?([\w.]+)$/m.exec(stderr);
    const what = why === null ? stdout.trim() : `${why[2]} wants ${why[1]}, which is not here`;
    console.log(`${program.padEnd(11)} with ${copied.join(" ").padEnd(39)} ${status}  ${what}`);
  };
  for (const [program, more] of [["worker.mjs", "worker.mjs"], ["worker.mjs", "run.mjs"],
    ["later.mjs", "later.mjs"], ["later.mjs", "call.mjs"]] as const) {
    cpSync(join(here, more), join(there, more));
    copied.push(more);
    show(program);
  }
} finally {
  rmSync(home, { recursive: true });
}
