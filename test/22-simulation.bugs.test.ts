/**
 * The test of the tests: does the simulation find bugs that are known to be there?
 *
 * Each patch in lessons/22-simulation/bugs is a mistake that somebody could make. In a copy of the
 * project that has it, a promise must be broken, one of those that the patch names, within the
 * lives that it names. The search begins with the life that found the bug last time. A change to
 * the project makes other lives of the same seeds, so that these searches grow longer from change
 * to change: `TITAN_RECORD=1` writes into the patches which lives it takes now.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runProgram, sandboxEnvironment, type Sandbox } from "../scripts/learn/sandbox.ts";
import { openSandboxes } from "../scripts/learn/sandboxes.ts";
import { commandIn, listBugs, parseBug, plantBug, showBug, type Bug } from "../scripts/sim/bugs.ts";
import { readOptions, type Options } from "../scripts/sim/options.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BUGS = listBugs(ROOT);
/** All of them in `npm test -- --all`; every sixth in `npm run chapter`: somebody waits for it. */
const PLANTED = process.env["TITAN_TEST_SHARE"] === undefined
  ? BUGS
  : BUGS.filter((_, index) => index % 6 === 0);

const RECORD = process.env["TITAN_RECORD"] === "1";
/** On average, for one bug. It takes one where the patch has the right seed. */
const MOST_LIVES = 8;

/** For all lives of one bug. The slowest takes a tenth of it. */
const LIVES_TIMEOUT_MS = 60_000;

/**
 * Lives of a copy without a bug: it is the patches that break things, and not the copying.
 * 22-simulation.test.ts lives many more without one.
 */
const HONEST_LIVES = 3;

/** Processes at a time. */
const AT_A_TIME = 2;

interface Found {
  readonly lives: number;
  readonly broken: readonly {
    readonly seed: number;
    readonly violation: { readonly invariant: string; readonly message: string };
  }[];
}

async function liveIn(sandbox: Sandbox, range: { from: number; seeds: number }): Promise<Found> {
  const command = commandIn(sandbox, [
    "--from",
    String(range.from),
    "--seeds",
    String(range.seeds),
    "--jobs",
    "1",
    "--json",
  ]);
  const { output, code, timedOut } = await runProgram(command, {
    cwd: sandbox.root,
    env: sandboxEnvironment(sandbox),
    timeoutMs: LIVES_TIMEOUT_MS,
  });
  // Standard error is among it.
  const [json] = /^\{$[^]*?^\}$/m.exec(output) ?? [];
  assert.ok(
    !timedOut && json !== undefined,
    `the simulation ended with ${timedOut ? "a timeout" : code}: ${output.slice(-2000)}`,
  );
  return JSON.parse(json) as Found;
}

function recordSeed(bug: Bug, seed: number): void {
  if (seed === bug.from) return;
  const file = join(ROOT, bug.file);
  const text = readFileSync(file, "utf8").replace(/^From: .*\n/m, "");
  writeFileSync(file, text.replace(/^(Seeds: .*\n)/m, `$1From: ${seed}\n`));
}

test("parseBug() refuses a header without an invariant, with an unknown one, or " +
  "without a bound", () => {
  const header = { Title: "x", Invariant: "no-crash, slots", Seeds: "3", Why: "y" };
  const text = (change: Record<string, string>): string =>
    `${Object.entries({ ...header, ...change })
      .map(([key, value]) => `${key}: ${value}`)
      .join("\n")}\n\n--- a\n+++ b\n`;
  assert.deepEqual(parseBug("n", text({})).invariants, ["no-crash", "slots"]);
  assert.throws(() => parseBug("n", text({ Invariant: "" })), /no "Invariant:" line/);
  assert.throws(
    () => parseBug("n", text({ Invariant: "runs-twice" })),
    /"runs-twice" is no invariant/,
  );
  assert.throws(() => parseBug("n", text({ Seeds: "many" })), /Seeds is "many"/);
  assert.throws(() => parseBug("n", text({ From: "0" })), /From is "0"/);
  assert.deepEqual([parseBug("n", text({})).from, parseBug("n", text({ From: "7" })).from], [1, 7]);
});

test("showBug() names all bugs to whoever asks for another one", async () => {
  const options = readOptions(["--bug", "nothing"]) as Options;
  assert.deepEqual([options.bug, options.jobs], ["nothing", 1]);
  await assert.rejects(showBug(ROOT, "nothing", options), (error: Error) =>
    BUGS.every(({ name, title }) => error.message.includes(name) && error.message.includes(title)),
  );
});

/** Lives that each bug took, in which nothing broke or the bug did. */
const searches = new Map<string, number>();

describe("simulate() finds bugs that were put back", { concurrency: AT_A_TIME }, () => {
  const sandboxes = openSandboxes(ROOT, { compile: true });
  after(() => sandboxes.remove());

  for (const bug of PLANTED) {
    test(`${bug.name} within ${bug.seeds} lives`, async (t) => {
      const { lives, broken } = await sandboxes.use(async (sandbox) => {
        await plantBug(sandbox, bug);
        return liveIn(sandbox, bug);
      });
      const [first] = broken;
      assert.ok(first !== undefined, `${bug.file}: nothing broke in ${lives} lives`);
      const { invariant, message } = first.violation;
      assert.ok(
        (bug.invariants as readonly string[]).includes(invariant),
        `${bug.file}: seed ${first.seed} breaks ${invariant} (${message}), not ` +
          `${bug.invariants.join(" or ")}`,
      );
      searches.set(bug.name, lives);
      if (RECORD) recordSeed(bug, first.seed);
      t.diagnostic(`${bug.name}: seed ${first.seed} breaks ${invariant}, in ${lives} lives`);
    });
  }

  test(`${PLANTED.length} of ${BUGS.length} bugs were put back`, () =>
    assert.ok(PLANTED.length >= 5));

  test(`…and none in lives 1 to ${HONEST_LIVES} of a copy without a bug`, async () => {
    const { lives, broken } = await sandboxes.use((sandbox) =>
      liveIn(sandbox, { from: 1, seeds: HONEST_LIVES }),
    );
    assert.deepEqual([lives, broken], [HONEST_LIVES, []]);
  });
});

test(`the patches begin with lives that find their bug, or nearly`, () => {
  const all = [...searches.values()].reduce((sum, lives) => sum + lives, 0);
  const longest = [...searches].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([name]) => name);
  assert.ok(
    RECORD || all <= MOST_LIVES * PLANTED.length,
    `${all} lives for ${PLANTED.length} bugs (most for ${longest.join(", ")}): their "From:" is ` +
      "out of date; TITAN_RECORD=1 npm test -- test/22-simulation.bugs.test.ts writes it anew",
  );
});
