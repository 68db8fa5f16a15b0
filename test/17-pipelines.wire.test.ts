/** Chapter 17 against chapter 10: whatever is valid fits the wire, at the very limits, too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  definePipeline,
  limits,
  PipelineError,
  type ActionDefinition,
  type JobDefinition,
} from "#pipeline";
import { Action, JobSpec, MAX_JOBS_PER_RUN } from "#wire";

/** One job with everything as large as it may be; `extra` makes one thing larger. */
function largest(kind: "file" | "command" | "call", extra = 0) {
  const x = (count: number) => "x".repeat(count + extra);
  const actions = {
    file: { file: x(limits.MAX_PATH_BYTES), args: ["", x(limits.MAX_TEXT_BYTES)] },
    command: { command: Array(limits.MAX_ARGS + extra).fill("x") },
    call: {
      call: `${"x".repeat(limits.MAX_PATH_BYTES - 2)}#f`,
      input: x(limits.MAX_INPUT_BYTES - 2),
    },
  };
  const id = x(limits.MAX_ID_CHARS);
  const requirement = Array.from({ length: limits.MAX_TAGS + extra }, (_, i) =>
    String(i).padStart(limits.MAX_TAG_CHARS, "x"),
  );
  const env = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`N${i}`, i ? "" : x(limits.MAX_ENV_BYTES - 2)]),
  );
  const days = `${limits.MAX_DURATION_MS / 86_400_000 + extra}d`;
  const retry = {
    max_attempts: limits.MAX_ATTEMPTS + extra,
    delay: days,
    max_delay: days,
    backoff: limits.MAX_BACKOFF + extra,
    jitter: 1 + extra,
  };
  const rest = {
    requirement,
    env,
    retry,
    priority: -limits.MAX_PRIORITY - extra,
    delay: days,
    timeout: days,
    hitl_message: x(limits.MAX_MESSAGE_BYTES),
    max_wait_seconds: days,
  };
  return { name: id, jobs: [{ id, ...actions[kind], ...rest }] };
}

function travelling(action: ActionDefinition): Action {
  if (action.type === "call") {
    return {
      type: "call",
      target: action.target,
      input: Buffer.from(JSON.stringify(action.input)),
    };
  }
  return action;
}

test("definePipeline() accepts nothing that JobSpec cannot carry", () => {
  for (const kind of ["file", "command", "call"] as const) {
    const [first] = definePipeline(largest(kind)).jobs;
    const { service: _, files: __, ...job } = first as JobDefinition;
    const spec = { ...job, action: travelling(job.action), dependsOn: [], affinity: undefined };
    assert.doesNotThrow(() => JobSpec.decode(JobSpec.encode(spec)));
  }
  assert.ok(limits.MAX_JOBS <= MAX_JOBS_PER_RUN);
});

test("definePipeline() refuses each part that is one larger than its limit", () => {
  assert.throws(
    () => definePipeline(largest("file", 1)),
    (error) => {
      assert.ok(error instanceof PipelineError);
      const named = error.problems.map(({ message }) => /^"([^"]+)"/.exec(message)?.[1]);
      assert.deepEqual(named, [
        "name",
        "id",
        "file",
        "args",
        "requirement",
        "priority",
        "delay",
        "timeout",
        "delay",
        "max_delay",
        "max_attempts",
        "backoff",
        "jitter",
        "env.N0",
        "max_wait_seconds",
        "hitl_message",
      ]);
      return true;
    },
  );
  assert.throws(
    () => definePipeline(largest("command", 1)),
    /"command" in job 1 has more than 100000 entries|and \d+ more/,
  );
});

test("a script without a shell travels and is kept in the bytes that older logs have", () => {
  const older = Buffer.from("030a026c7300", "hex");
  assert.equal(
    Action.encode({ type: "shell", script: "ls" }).toString("hex"),
    older.toString("hex"),
  );
  assert.deepEqual(Action.decode(older), { type: "shell", script: "ls", shell: undefined });
  const bash: Action = { type: "shell", script: "ls", shell: "bash" };
  assert.deepEqual(Action.decode(Action.encode(bash)), bash);
});
