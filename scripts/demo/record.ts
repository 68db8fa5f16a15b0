/**
 * Records the demo as docs/demo.svg: `node --import tsx scripts/demo/record.ts`.
 *
 * Runs the real demo, looks at its screen a few times a second, and draws what was there
 * (scripts/demo/svg.ts). All but the recording is a function of it.
 *
 * Test: test/demo.svg.test.ts
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { ensureBuilt, ROOT } from "../bootstrap.mjs";
import { startMember } from "../lib/family.mjs";
import { type Frame, renderSvg } from "./svg.ts";
import { Terminal } from "./terminal.ts";

/** Three a second: bars that grow, in a file of some 40 kB. */
const FRAME_MS = 333;
/** As wide as the demo takes a pipe to be (scripts/demo/screen.ts). */
const COLUMNS = 88;
const HEIGHT = 38;
const HOLD_MS = 8000;

await ensureBuilt();
const terminal = new Terminal();
terminal.write("\x1b[1m$ npm run demo\x1b[22m\n\n");
const frames: Frame[] = [{ atMs: 0, rows: terminal.rows() }];
const startedAt = performance.now();
let seen = JSON.stringify(terminal.rows());
function look(): void {
  const rows = terminal.rows();
  const now = JSON.stringify(rows);
  if (now !== seen) frames.push({ atMs: Math.round(performance.now() - startedAt), rows });
  seen = now;
}

const { CI: _, ...env } = process.env;
const child = startMember(["--import", "tsx", join(ROOT, "scripts/demo/main.ts")], {
  cwd: ROOT, env: { ...env, TITAN_DEMO_LIVE: "1" }, stdio: ["ignore", "pipe", "inherit"],
});
child.stdout!.setEncoding("utf8").on("data", (text: string) => terminal.write(text));
const timer = setInterval(look, FRAME_MS);
const [code] = (await once(child, "close")) as [number];
clearInterval(timer);
look();
if (code !== 0) throw new Error(`Cannot record the demo: it ended with code ${code}`);

const svg = renderSvg(frames, {
  title: "npm run demo: a worker and the master are killed, and the run ends all the same",
  description: "A recording of a terminal. A master and two workers start and run nine jobs. The "
    + "worker small is killed with two jobs on it and started again; then the master is killed "
    + "while four jobs run on, and started again. A timeline shows who ran what when. At the end "
    + "all nine jobs are completed, and the sum of their results equals a count made "
    + "without Titan.",
  columns: COLUMNS, height: HEIGHT, holdMs: HOLD_MS,
});
writeFileSync(join(ROOT, "docs/demo.svg"), svg);
const size = `${(svg.length / 1000).toFixed(1)} kB`;
process.stdout.write(`docs/demo.svg: ${frames.length} frames, ${size}\n`);
