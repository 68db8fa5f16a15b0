/**
 * Chapter 17: docs/pipelines.md has every key that is read, no other, and its examples are what it
 * says they are.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { startEmbeddedCluster } from "#cluster";
import { KNOWN_KEYS, limits, parsePipeline, PipelineError } from "#pipeline";
import { connect } from "#sdk";

const page = readFileSync(new URL("../docs/pipelines.md", import.meta.url), "utf8");

/** The part below a heading, up to the next of its kind. */
function section(heading: string): string {
  const found = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  return found ?? assert.fail(`there is no section "${heading}"`);
}

/** The words in the first column of a section's tables. */
function firstColumn(heading: string): string[] {
  return [...section(heading).matchAll(/^\| `([^`]+)` \|/gm)].map(([, word]) => word as string);
}

test("docs/pipelines.md has every key that the reader knows, and no other", () => {
  assert.deepEqual(firstColumn("The pipeline").sort(), [...KNOWN_KEYS.pipeline].sort());
  assert.deepEqual(firstColumn("A job").sort(), [...KNOWN_KEYS.job].sort());
  assert.deepEqual(firstColumn("Retries").sort(), [...KNOWN_KEYS.retry].sort());
  const { healthcheck, restart, agent, budget } = KNOWN_KEYS;
  assert.deepEqual(firstColumn("Agents").sort(), [...agent, ...budget].sort());
  assert.deepEqual(firstColumn("Services").sort(), [...healthcheck, ...restart].sort());
});

test("every pipeline in docs/pipelines.md is read with no warning, or refused as it says", () => {
  const fences = [...page.matchAll(/^```yaml( refused)?\n([\s\S]*?)^```$/gm)];
  assert.ok(fences.length >= 8, `${fences.length} examples`);
  for (const [, refused, text] of fences) {
    if (refused === undefined) {
      assert.deepEqual(parsePipeline(text as string, { file: "docs/pipelines.md" }).warnings, []);
      continue;
    }
    assert.throws(
      () => parsePipeline(text as string),
      (error) => {
        assert.ok(error instanceof PipelineError);
        const advice = [...(text as string).matchAll(/# (write .*)$/gm)].map(
          ([, words]) => words as string,
        );
        const messages = error.problems.map(({ message }) => message);
        assert.equal(messages.length, advice.length, messages.join("\n"));
        advice.forEach((words, i) => assert.ok(messages[i]!.includes(words), messages[i]));
        return true;
      },
    );
  }
});

test("the pipelines in docs/pipelines.md that need nothing but a shell run to " +
  "a good end", async () => {
  const cluster = await startEmbeddedCluster({ workers: 1 });
  const client = await connect(`${cluster.master.host}:${cluster.master.port}`);
  try {
    for (const heading of ["Scripts", "What a job finds in its environment"]) {
      const text = /^```yaml\n([\s\S]*?)^```$/m.exec(section(heading))?.[1] ?? "";
      const pipeline = parsePipeline(text, { file: "docs/pipelines.md" });
      const { run } = await client.submit({ ...pipeline, project: false });
      assert.equal((await client.wait(run)).status, "COMPLETED", heading);
    }
  } finally {
    client.close();
    await cluster.stop();
  }
});

test("defaults and limits in docs/pipelines.md are those of the code", () => {
  const { DEFAULT_RETRY, DEFAULT_GATE_WAIT_MS, MAX_JOBS, MAX_ENV, MAX_PROBLEMS, MAX_TAGS } = limits;
  const row = (heading: string, key: string): string[] => {
    const line =
      section(heading)
        .split("\n")
        .find((text) => text.startsWith(`| \`${key}\` |`)) ?? "";
    return line.split("|").map((cell) => cell.trim());
  };
  assert.deepEqual(
    ["max_attempts", "backoff", "jitter"].map((key) => Number(row("Retries", key)[3])),
    [DEFAULT_RETRY.maxAttempts, DEFAULT_RETRY.backoff, DEFAULT_RETRY.jitter],
  );
  assert.equal(row("Retries", "delay")[3], `${DEFAULT_RETRY.delayMs / 1000}s`);
  assert.match(
    row("Retries", "max_delay")[3]!,
    new RegExp(`^${DEFAULT_RETRY.maxDelayMs / 60_000}m`),
  );
  assert.match(
    row("A job", "max_wait_seconds")[3]!,
    new RegExp(`^${DEFAULT_GATE_WAIT_MS / 1000} `),
  );
  assert.ok(row("A job", "requirement")[4]!.includes(`at most ${MAX_TAGS}`));
  const bounds = section("Limits");
  for (const bound of [MAX_JOBS, MAX_ENV]) {
    assert.ok(bounds.includes(bound.toLocaleString("en-US")), String(bound));
  }
  assert.ok(bounds.includes(`| problems in one report | ${MAX_PROBLEMS} |`));
});
