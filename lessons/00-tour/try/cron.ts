/** What cron and ssh do when a machine dies: the same night three times, with real shells. "Machine b" is a process. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../cluster.ts";

const folder = mkdtempSync(join(tmpdir(), "titan-cron-"));
const children = new Set<ChildProcess>();
const stopAll = (): void => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
};
process.on("exit", stopAll);

/** Charges for the data, copies ten lines on machine b, and mails how many there are. */
const NIGHTLY = `
on() { shift; "$@"; }   # here "on b CMD" would be "ssh b CMD"
echo "charged 5.00" >> bill
on b sh train.sh > model
echo "mail: the model has $(wc -l < model | tr -d ' ') of 10 lines" > mail
`;
/** After three lines it waits, so that there is a moment to die in. Once the file `go` is there it does not wait. */
const TRAIN = `
echo $$ > b.pid
for i in 1 2 3 4 5 6 7 8 9 10; do
  echo "weight $i"
  [ $i -lt 3 ] || until [ -e go ] || [ ! -e train.sh ]; do sleep 0.02; done
done
`;

function night(name: string, header: string): { dir: string; cron: () => Promise<number | null> & { child: ChildProcess } } {
  const dir = join(folder, name);
  mkdirSync(dir);
  writeFileSync(join(dir, "nightly.sh"), header + NIGHTLY);
  writeFileSync(join(dir, "train.sh"), TRAIN);
  const cron = () => {
    const child = spawn("sh", ["nightly.sh"], { cwd: dir, stdio: "ignore" });
    children.add(child);
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => { children.delete(child); resolve(code); }));
    return Object.assign(ended, { child });
  };
  return { dir, cron };
}

const lines = (file: string): number => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);
const machineB = (dir: string): number => Number(readFileSync(join(dir, "b.pid"), "utf8"));
const threeLines = (dir: string): Promise<void> => until(() => lines(join(dir, "model")) === 3, "three lines");

try {
  console.log("nightly.sh, as people write it; machine b dies after 3 of 10 lines");
  const plain = night("plain", "");
  const first = plain.cron();
  await threeLines(plain.dir);
  process.kill(machineB(plain.dir), "SIGKILL");
  console.log(`  nightly.sh: exit code ${await first}`);
  console.log(`  ${readFileSync(join(plain.dir, "mail"), "utf8").trim()}`);

  console.log("\nthe same with set -e");
  const strict = night("strict", "set -e\n");
  const second = strict.cron();
  await threeLines(strict.dir);
  process.kill(machineB(strict.dir), "SIGKILL");
  console.log(`  nightly.sh: exit code ${await second}, no mail; the next try is tomorrow`);
  writeFileSync(join(strict.dir, "go"), "");
  await strict.cron();
  console.log(`  started again by hand: ${readFileSync(join(strict.dir, "mail"), "utf8").trim()}`);
  console.log(`  the bill: charged ${lines(join(strict.dir, "bill"))} times`);

  console.log("\nthe machine that runs cron dies instead");
  const orphan = night("orphan", "set -e\n");
  const third = orphan.cron();
  await threeLines(orphan.dir);
  third.child.kill("SIGKILL");
  await third;
  writeFileSync(join(orphan.dir, "go"), "");
  await until(() => lines(join(orphan.dir, "model")) === 10, "ten lines");
  console.log(`  machine b finished: the model has ${lines(join(orphan.dir, "model"))} of 10 lines`);
  console.log(`  mail: ${existsSync(join(orphan.dir, "mail")) ? "sent" : "none"}; who knows that the model is there: nobody`);
} finally {
  stopAll();
}
