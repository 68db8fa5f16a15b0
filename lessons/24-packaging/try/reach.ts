/** A small project, two programs, and what each of them can reach. */
import { reach } from "#packaging";

const FILES: Record<string, string> = {
  "main.js": 'import { run } from "#exec";\nimport { log } from "#log";\nlog(run("a"));\n',
  "worker.js": 'import { run } from "#exec";\nrun("a");\n',
  "exec/mod.js": 'export { run, stop } from "./run.js";\nexport { sweep } from "./sweep.js";\n',
  "exec/run.js":
    'import { kill } from "./kill.js";\nimport { word } from "#log";\n' +
    "export function run(job) {\n    return word(job);\n}\n" +
    "export function stop(job) {\n    kill(job);\n}\n",
  "exec/kill.js": "export const kill = (job) => job;\n",
  "exec/sweep.js": "export const sweep = () => 0;\n",
  "log/mod.js": 'export { log } from "./log.js";\nexport { word } from "./word.js";\n',
  "log/log.js": "export const log = (text) => text;\n",
  "log/word.js": "export const word = (text) => text.trim();\n",
};
const modules = {
  read: (file: string) => FILES[file],
  imports: new Map([["#exec", "exec/mod.js"], ["#log", "log/mod.js"]]),
};

for (const entry of ["main.js", "worker.js"]) {
  const shipped = reach([entry], modules);
  console.log(`${entry}: ${shipped.size} of ${Object.keys(FILES).length} modules`);
  for (const file of [...shipped.keys()].sort()) {
    const whole = FILES[file]!.length;
    console.log(`  ${file.padEnd(12)} ${shipped.get(file)!.length} of ${whole} bytes`);
  }
}
console.log(
  `\nexec/run.js, as worker.js needs it:\n${reach(["worker.js"], modules).get("exec/run.js")}`,
);
