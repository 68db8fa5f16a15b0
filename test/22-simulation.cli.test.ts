/** `npm run sim`: what it prints, and what it refuses. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { generatePlan, INVARIANTS, planLines, simulate } from "#simulation";
import { programArguments } from "../scripts/lib/compiled.mjs";
import { readOptions, UsageError } from "../scripts/sim/options.ts";
import { checked } from "../scripts/sim/plan.ts";
import { Pool, seedsWithPowerCuts } from "../scripts/sim/pool.ts";
import { failureLines } from "../scripts/sim/report.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

function sim(...args: string[]) {
  const program = programArguments(ROOT, "scripts/sim/main.ts", { untraced: true });
  return spawnSync(process.execPath, [...program, ...args], {
    cwd: ROOT, encoding: "utf8", timeout: 30_000,
  });
}

test("--power-first lives where the master's power goes, in this process, and then the rest",
  async () => {
    const early = seedsWithPowerCuts({ from: 1, seeds: 8 });
    assert.ok(early.length >= 2 && early.length < 8, early.join(", "));
    const hasCut = (seed: number): boolean => generatePlan(seed).faults.some(({ kind, target }) =>
      kind === "crash" && target === "m");
    assert.deepEqual(early.filter(hasCut), early);
    const options = readOptions(["--seeds", "8", "--power-first"]);
    assert.ok(options !== "help");
    const pool = new Pool(options);
    for await (const { seed } of pool.lives()) {
      assert.equal(seed, early[0]);
      pool.stop();
    }
    assert.ok(pool.stopped);
  });

test("sim --json sums up the lives of several processes", () => {
  const { status, stdout, stderr } = sim("--seeds", "3", "--from", "10", "--jobs", "2", "--json");
  assert.equal(status, 0, stderr);
  const { lives, broken, events, virtualMs } = JSON.parse(stdout) as Record<
    string,
    number & unknown[]
  >;
  assert.deepEqual([lives, broken], [3, []]);
  assert.ok(events! > 500 && virtualMs! > 3 * 4000);
});

test("sim --plan lives the plan of a file, as --seed --json printed it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-sim-"));
  try {
    const file = join(folder, "plan.json");
    writeFileSync(file, JSON.stringify({ plan: generatePlan(5) }));
    const { status, stdout, stderr } = sim("--plan", file);
    assert.equal(status, 0, stderr);
    assert.ok(stdout.startsWith(planLines(generatePlan(5)).join("\n")), stdout);
    assert.ok(stdout.includes(`trace ${(await simulate(generatePlan(5))).traceHash}`), stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("sim refuses flags that it does not understand, with exit code 2", () => {
  const { status, stderr } = sim("--seeds", "many");
  assert.equal(status, 2);
  assert.match(stderr, /^sim: --seeds is "many", must be a whole number from 1 to /);
  for (const args of [
    ["--sheds", "3"],
    ["--seed", "3", "--seeds", "4"],
    ["--plan", "x", "--seed", "1"],
    ["--jobs", "0"],
    ["--from", "-1"],
    ["extra"],
  ]) {
    assert.throws(() => readOptions(args), UsageError, args.join(" "));
  }
});

test("sim --seed names itself when it is refused, and --plan a file in which there is no plan, " +
  "with exit code 2", () => {
  assert.throws(() => readOptions(["--seed", "abc"]), /--seed is "abc"/);
  // What the usage does not name is no option.
  assert.throws(() => readOptions(["--shrink"]), UsageError);
  const { status, stderr } = sim("--plan", join(ROOT, "package.json"));
  assert.equal(status, 2);
  assert.match(
    stderr,
    /^sim: Cannot read plan .*package\.json: plan\.seed is missing, must be a number\n/,
  );
});

test("checked() takes every plan that is drawn, and refuses what would silently do nothing", () => {
  for (let seed = 1; seed <= 300; seed++) checked(JSON.parse(JSON.stringify(generatePlan(seed))));
  const plan = generatePlan(7);
  const at = 100;
  const refused: [change: object, why: RegExp][] = [
    [{ faults: undefined }, /plan\.faults is missing, must be a list/],
    [
      { faults: [{ at, target: "m", kind: "meteor" }] },
      /faults\[0\]\.kind is "meteor", must be one of kill, /,
    ],
    [
      { faults: [{ at, target: "w9", kind: "kill", downMs: 5 }] },
      /the machine of faults\[0\] is "w9", must be one of m, w1/,
    ],
    [
      { faults: [{ at, target: "m", kind: "cut", peer: "w9" }] },
      /the machine of faults\[0\] is "w9"/,
    ],
    [
      { faults: [{ target: "m", kind: "kill", downMs: 5 }] },
      /faults\[0\]\.at is missing, must be a number/,
    ],
    [{ faults: [{ at, target: "m", kind: "kill" }] }, /faults\[0\]\.downMs is missing/],
    [{ steps: [{ at, client: 1, do: "dance" }] }, /steps\[0\]\.do is "dance"/],
    [{ steps: [{ at, client: 9, do: "runs" }] }, /steps\[0\]\.client is 9/],
    [
      { steps: [{ at, client: 1, do: "submit", run: "k99" }] },
      /steps\[0\]\.run is "k99", must be one of k1/,
    ],
    [{ latencyMs: [5] }, /plan\.latencyMs is \[5\], must be two numbers/],
    [{ workers: [] }, /workers is empty/],
    [{ clients: 0 }, /clients is 0/],
    [{ finale: "bang" }, /finale is "bang"/],
  ];
  for (const [change, why] of refused) assert.throws(() => checked({ ...plan, ...change }), why);
  for (const value of [null, 3, [], "plan"]) {
    assert.throws(() => checked(value), /must be an object/);
  }
});

test("failureLines() says what broke, the least that it takes, what happened, and how to see it " +
  "again", async () => {
  const plan = generatePlan(8);
  const outcome = await simulate(plan);
  const small = { ...plan, faults: plan.faults.slice(0, 1) };
  const violation = {
    invariant: "runs-once" as const,
    message: "k1/a#1 was executed twice",
    atMs: 1234,
  };
  const lines = failureLines({
    plan,
    small,
    runs: 12,
    outcome: { ...outcome, violation },
    trace: false,
    brief: false,
    command: "npm run sim -- --seed 8",
  });
  const text = lines.join("\n");
  assert.ok(text.includes("BROKEN: runs-once"));
  assert.ok(text.includes(INVARIANTS["runs-once"]));
  assert.ok(text.includes("seed 8, at 1234 ms: k1/a#1 was executed twice"));
  assert.ok(text.includes(`1 fault, `) && text.includes("after 12 lives"));
  for (const line of planLines(small)) assert.ok(text.includes(line), line);
  for (const line of outcome.trace.slice(-60)) assert.ok(text.includes(line), line);
  assert.equal(lines.at(-1), "Again: npm run sim -- --seed 8");
});

test("failureLines() of a reader's own module fits a screen: the promise, the plan, the reader's " +
  "line, and the end of the story", async () => {
  const plan = generatePlan(8);
  const { pipelines: [pipeline] } = plan;
  const small = { ...plan, faults: [], steps: plan.steps.slice(0, 1), pipelines: [pipeline!] };
  const message = "m died while starting: Cannot open log: it is missing";
  const frames = "    at a (/srv/a b/src/host/x.ts:1:1)\n" +
    "    at b (/srv/a b/own/log/open.ts:2:3)";
  const before = ["    1.0  m serves", "    2.0  w1 runs k1/a#1", "    3.0  m is started again"];
  const outcome = {
    ...(await simulate(small)),
    violation: { invariant: "no-crash" as const, message: `${message}\n${frames}`, atMs: 4 },
    trace: [
      ...Array.from({ length: 50 }, (_, at) => `    0.${at}  noise`), ...before,
      `    4.0  ${message}`, `    4.0  BROKEN no-crash: ${message}`, "    9.0  all is mended",
    ],
  };
  const failure = {
    plan, small, runs: 12, outcome, trace: false, brief: true,
    command: "npm run learn sim 5 -- --seed 8",
  };
  const lines = failureLines(failure);
  assert.deepEqual(lines.slice(0, 4), [
    "BROKEN: no-crash", `        ${INVARIANTS["no-crash"]}`, `seed 8, at 4 ms: ${message}`,
    "    at b (own/log/open.ts:2:3)",
  ]);
  for (const line of planLines(small).slice(1)) assert.ok(lines.includes(`  ${line}`), line);
  assert.ok(!lines.join("\n").includes("faults of this seed"));
  assert.deepEqual(lines.slice(-5),
    [...before, "", "All of it: npm run learn sim 5 -- --seed 8 --trace"]);
  assert.ok(lines.length <= 25, `${lines.length} lines`);
  const whole = failureLines({ ...failure, trace: true });
  assert.ok(whole.includes("    0.0  noise"), "--trace shows all of it");
});
