/**
 * Lesson 18: a step of a job, as `--json` and the HTTP interface show it.
 *
 * Test: test/18-agents.kill.test.ts
 */
import { MICROS_PER_USD, type StepInfo } from "#wire";

export function stepJson(step: StepInfo): object {
  const { name, ordinal, job, status, effect, attempt, startedAt, endedAt, inputHash } = step;
  const { result, blob, failure, usage } = step;
  return {
    step: `${name}#${ordinal}`, job, status, effect, attempt, startedAt, endedAt: endedAt ?? null,
    inputHash, result: valueOf(result), blob: blob ?? null, failure,
    usage: usage === undefined ? null : {
      model: usage.model, tokensIn: usage.tokensIn, tokensOut: usage.tokensOut,
      usd: usage.usdMicros / MICROS_PER_USD, ms: usage.ms,
    },
  };
}

/** No bytes: the step returned nothing. */
function valueOf(result: Buffer | undefined): unknown {
  return result === undefined || result.length === 0 ? null : JSON.parse(result.toString("utf8"));
}
