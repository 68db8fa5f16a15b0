/**
 * Lesson 18: what a snapshot says of journals.
 *
 * Test: test/18-agents.core.test.ts
 */
import {
  bool, bytes, enumOf, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import {
  MAX_STEP_MESSAGE_BYTES, MAX_STEP_NAME_BYTES, MAX_STEP_RESULT_BYTES, STEP_HASH_BYTES,
  STEP_STATUSES, StepBlob, StepEffect, StepReserve, StepUsage,
} from "#wire";
import { resultBytes, type Journal, type Step } from "./journal.ts";
import { carriedMemory } from "./memory.ts";
import { BLOCK_JOBS, blocks } from "./snapshot-blocks.ts";
import type { Run } from "./state.ts";

const StepRecord = message("StepRecord", {
  name: [1, string(MAX_STEP_NAME_BYTES)], ordinal: [2, u32()], order: [3, u53()],
  status: [4, enumOf(...STEP_STATUSES)], inputHash: [5, bytes(STEP_HASH_BYTES)],
  effect: [6, StepEffect], attempt: [7, u32()], call: [8, u32()], startedAt: [9, u53()],
  endedAt: [10, withDefault(u53(), 0)], result: [11, optional(bytes(MAX_STEP_RESULT_BYTES))],
  blob: [12, optional(StepBlob)],
  message: [13, withDefault(string(MAX_STEP_MESSAGE_BYTES), "")],
  reserve: [14, optional(StepReserve)], usage: [15, optional(StepUsage)],
  accepted: [16, withDefault(bool(), false)],
  starts: [85, withDefault(u32(), 0)], spentTokens: [86, withDefault(u53(), 0)],
  spentMicros: [87, withDefault(u53(), 0)],
});

/** Of one job of the run before, in the order of its journal. */
export const StepBlock = message("StepBlock", {
  job: [1, u32()], steps: [2, list(StepRecord, BLOCK_JOBS)],
});
type StepBlock = Infer<typeof StepBlock>;

/** An id, a key, a SHA-256 and a number. */
const MAX_PLACE_BYTES = 512;

/** Of a fork: steps for a job that the run before has not added again so far. */
export const CarriedBlock = message("CarriedBlock", {
  place: [1, string(MAX_PLACE_BYTES)], steps: [2, list(StepRecord, BLOCK_JOBS)],
});

/** An upper bound of what a step takes in a part. */
function stepRecordBytes({ name, result, message }: Step): number {
  return 256 + 3 * (name.length + message.length) + (result?.length ?? 0);
}

/**
 * The journals of these jobs as they are now. The records of a block are made when it is asked for:
 * that takes time, and a step does not change.
 */
export function stepBlocks(
  jobs: readonly { readonly index: number; readonly journal: Journal | undefined }[],
): (() => StepBlock)[] {
  return jobs.flatMap(({ index: job, journal }) => {
    if (journal === undefined) return [];
    return [...blocks([...journal.values()], stepRecordBytes)].map(({ block }) =>
      () => ({ job, steps: block.map(asRecord) }));
  });
}

export function* carriedBlocks(
  carried: Iterable<readonly [string, readonly Step[]]>,
): Generator<Infer<typeof CarriedBlock>> {
  for (const [place, steps] of carried) {
    for (const { block } of blocks(steps, stepRecordBytes)) {
      yield { place, steps: block.map(asRecord) };
    }
  }
}

/** Returns what it takes in memory. */
export function readCarried(run: Run, { place, steps }: Infer<typeof CarriedBlock>): number {
  if (run.carried.size === 0) run.carried = new Map();
  const before = run.carried.get(place);
  const read = steps.map(fromRecord);
  run.carried.set(place, [...(before ?? []), ...read]);
  run.stepBytes += resultBytes(read);
  return carriedMemory(place, read) - (before === undefined ? 0 : carriedMemory(place, []));
}

function asRecord(step: Step): StepBlock["steps"][number] {
  return { ...step, inputHash: Buffer.from(step.inputHash, "hex") };
}

/** A result is a view of the whole part otherwise. */
export function fromRecord(record: StepBlock["steps"][number]): Step {
  const { result, inputHash, blob, reserve, usage } = record;
  return {
    ...record, blob, reserve, usage,
    inputHash: inputHash.toString("hex"), result: result && Buffer.from(result),
  };
}
