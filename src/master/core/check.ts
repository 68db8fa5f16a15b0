/**
 * Lesson 10: what a job must be before it becomes a fact.
 *
 * The wire (src/wire) bounds each field by itself, and a client need not be ours: it may never have seen the reader of pipelines,
 * which is stricter. Here is what `apply` and the log rely on: sums that stay numbers, sentences that still fit once there is
 * something in front of them, names that can be told apart from what is around them.
 *
 * Invariants: what passes here can be applied, written to the log and into a snapshot, and shown, whatever happens to it later.
 * Test: test/10-master.test.ts
 */
import { retryPolicy, RetryPolicyError } from "#retry";
import type { JobSpec } from "#wire";

/** Ten years, for delays, gates and timeouts: with any date before the year 200,000 the sum is a safe integer. */
export const MAX_WAIT_MS = 10 * 365 * 24 * 3600 * 1000;

/** As the messages have it for everything that is written for people. */
const MAX_SENTENCE_BYTES = 16 * 1024;

/** What is wrong with a job, to be read after its name; undefined if nothing is. */
export function unfit(job: JobSpec): string | undefined {
  const { id, delayMs, timeoutMs, gate, retry, env } = job;
  if (id === "") return "has an empty id";
  if (!isName(id)) return "has a control character or a slash in its id";
  if (delayMs > MAX_WAIT_MS) return `is delayed by ${delayMs} ms, more than ${MAX_WAIT_MS}`;
  if (timeoutMs > MAX_WAIT_MS) return `has a timeout of ${timeoutMs} ms, more than ${MAX_WAIT_MS}`;
  if (gate !== undefined && gate.maxWaitMs > MAX_WAIT_MS) return `has a gate that waits ${gate.maxWaitMs} ms, more than ${MAX_WAIT_MS}`;
  return unfitEnv(env) ?? (retry === undefined ? undefined : badPolicy(retry));
}

/**
 * The system writes a variable as NAME=value and ends it with a zero, so such a name would be lost
 * or another.
 */
function unfitEnv(env: JobSpec["env"]): string | undefined {
  for (const name in env) {
    if (name === "") return "has a variable without a name in its environment";
    if (/[=\0]/.test(name)) {
      return `has ${JSON.stringify(name)} in its environment, and a name cannot have "=" or NUL ` +
        "in it";
    }
  }
  return undefined;
}

/** What is wrong with a pipeline's name, to be read after "its name". */
export function unfitName(name: string): string | undefined {
  if (name === "") return "is empty";
  return isName(name) ? undefined : "has a control character or a slash";
}

/** Names are printed on terminals, and a gate is called RUN/JOB. */
function isName(text: string): boolean {
  return !/[\p{Cc}/]/u.test(text);
}

function badPolicy(policy: NonNullable<JobSpec["retry"]>): string | undefined {
  try {
    retryPolicy(policy);
  } catch (error) {
    if (error instanceof RetryPolicyError) return `cannot be retried like this: ${error.message}`;
    throw error;
  }
  return undefined;
}

/** Text with something put in front of it, cut to what a message may hold. */
export function sentence(text: string, maxBytes = MAX_SENTENCE_BYTES): string {
  // A character is at most three bytes of UTF-8: most texts need not be measured.
  if (3 * text.length <= maxBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  // `stream` leaves out a character that the cut has gone through.
  return `${new TextDecoder().decode(bytes.subarray(0, maxBytes - 3), { stream: true })}…`;
}
