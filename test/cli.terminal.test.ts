/** The live view on a terminal: `script` (of bsdutils, which Debian always has) gives us one. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { eventually, MAIN, tempFolder, up } from "./cli.support.ts";
import { Screen } from "./screen.support.ts";

const COLUMNS = 70;
const ROWS = 12;
const WAITING =
  'const t = setInterval(() => { ' +
  'if (require("fs").existsSync(process.argv[1])) clearInterval(t) }, 5)';

const cwd = tempFolder();
const cluster = await up(["--no-store", "--workers", "1", "--slots", "2"], { cwd });
const terminals: ChildProcess[] = [];
after(async () => {
  for (const child of terminals) child.kill("SIGKILL"); // of a test that failed
  await cluster.kill("SIGTERM");
});

/** Runs a pipeline of one job, which ends once `name` is there, on a terminal. */
function onTerminal(name: string, { rows = 1 }: { rows?: number } = {}) {
  const go = join(cwd, name);
  const first = JSON.stringify(["node", "-e", WAITING, go]);
  const more = Array.from(
    { length: rows - 1 },
    (_, n) => `  - {id: next-${n}, needs: wait, run: "true"}\n`,
  ).join("");
  writeFileSync(
    join(cwd, `${name}.yaml`),
    `name: ${name}\njobs:\n  - {id: wait, command: ${first}}\n${more}`,
  );
  // A shell that says who it is and then becomes titan: `script` does not tell.
  const command =
    `stty cols ${COLUMNS} rows ${ROWS}; echo $$ > ${name}.pid; ` +
    `exec '${process.execPath}' '${MAIN}' run ${name}.yaml`;
  const { PATH } = process.env;
  const env = {
    PATH,
    HOME: cwd,
    SHELL: "/bin/sh",
    TERM: "xterm-256color",
    LANG: "C.UTF-8",
    ...cluster.env,
  };
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    cwd,
    env,
    stdio: ["pipe", "pipe", "ignore"],
  });
  terminals.push(child);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return {
    child,
    ended,
    get text() {
      return text;
    },
    screen(): Screen {
      const screen = new Screen(COLUMNS, ROWS);
      screen.write(text);
      return screen;
    },
    type: (keys: string) => child.stdin.write(keys),
    pid: () => Number(readFileSync(join(cwd, `${name}.pid`), "utf8")),
    go: () => writeFileSync(go, ""),
    shows: (pattern: RegExp, from = 0) =>
      eventually(`the terminal shows ${pattern}`, () => pattern.test(text.slice(from))),
  };
}

test("Ctrl-C on a terminal leaves the last drawing whole, and brings the cursor back", async () => {
  const run = onTerminal("stopped");
  await run.shows(/wait .*running/);
  run.type("\u0003");
  assert.equal(await run.ended, 130);
  const screen = run.screen();
  // Above it stands which master this is.
  const lines = screen.lines.slice(screen.lines.findIndex((line) => line.startsWith("stopped-")));
  assert.deepEqual(
    [
      lines[0]!.replace(/^(stopped-\w{4}  RUNNING).*$/, "$1").replace(/-\w{4}/, ""),
      screen.cursor,
    ],
    ["stopped  RUNNING", true],
  );
  assert.match(lines[1]!, /^ {2}● wait {2}running/);
  assert.match(
    lines.slice(2).join(""),
    /^titan: interrupted; stopped-\w{4} goes on\. Watch it again with: titan watch/,
  );
  run.go();
});

test("Ctrl-Z on a terminal shows the cursor and stops; SIGCONT hides it " +
  "and draws below", async () => {
  const run = onTerminal("paused");
  await run.shows(/wait .*running/);
  const before = run.text.length;
  run.type("\u001a");
  await eventually("it is stopped", () => stateOf(run.pid()) === "T");
  // `script` stops after its child has: before or after it is told to go on, and has passed on the
  // last bytes.
  await eventually("it draws again", () => {
    for (const pid of [run.pid(), run.child.pid!]) {
      if (stateOf(pid) === "T") process.kill(pid, "SIGCONT");
    }
    return /\u001b\[\?25h[^]*\u001b\[\?25l[^]*wait .*running/.test(run.text.slice(before));
  });
  const first = run.text.slice(before).split("\u001b[?25l")[1]!.split("running")[0]!;
  assert.equal(/\u001b\[\d+A/.test(first), false, "the first drawing is a new one");
  run.go();
  assert.equal(await run.ended, 0);
  assert.equal(run.screen().cursor, true);
});

test("a run that fills the screen scrolls no frames away", async () => {
  const run = onTerminal("tall", { rows: 40 });
  await run.shows(/wait .*running/);
  const frames = () => run.text.split("tall-").length;
  const before = frames();
  await eventually("it has been drawn ten times more", () => frames() > before + 10);
  assert.equal(run.screen().scrolled.filter((line) => line.startsWith("tall-")).length, 0);
  run.go();
  assert.equal(await run.ended, 0);
});

/** One letter: T is stopped. */
function stateOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "")[0]!;
}
