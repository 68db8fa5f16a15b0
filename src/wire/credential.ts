/**
 * Lesson 18: the credential of a job. A program that runs as a job has it in TITAN_TOKEN, and may
 * use its own run with it: read it, add to it, keep its steps.
 *
 *     titan-job.<run>.<job>.<attempt>.<worker>.<HMAC-SHA256 of these four, in hex>
 *
 * The numbers are the master's. The key of the HMAC is the worker's: HMAC(secret of the cluster,
 * number of the worker). The master tells each worker its key once, in WELCOME, so an assignment
 * carries no credential; and it keeps none, since it can work out each of them again.
 *
 * Invariants: a worker can make credentials for itself and for no other worker; a credential says
 * which attempt it was made for, so what it may change ends with that attempt (the core's fence).
 * Left out: an end of its own. After its attempt it reads, as long as its run is known.
 * Test: test/18-agents.credential.test.ts
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** An attempt, and the registration of the worker that runs it. */
export interface JobScope {
  readonly run: number;
  readonly job: number;
  readonly attempt: number;
  readonly worker: number;
}

/** Of the secret and of each key: as long as what SHA-256 makes of them. */
export const SECRET_BYTES = 32;

const PREFIX = "titan-job.";
/** Numbers as the master writes them: u32, without leading zeros. */
const TOKEN = /^titan-job\.((?:0|[1-9]\d{0,9})(?:\.(?:0|[1-9]\d{0,9})){3})\.([0-9a-f]{64})$/;

/** The key by which one worker makes the credentials of its jobs. */
export function workerKey(secret: Uint8Array, worker: number): Buffer {
  return createHmac("sha256", secret).update(`worker ${worker}`).digest();
}

/** The credential of one attempt. `key` is that of its worker. */
export function jobToken(key: Uint8Array, { run, job, attempt, worker }: JobScope): string {
  const numbers = `${run}.${job}.${attempt}.${worker}`;
  return `${PREFIX}${numbers}.${signature(key, numbers).toString("hex")}`;
}

/** Whether it is meant as the credential of a job, right or wrong. */
export function isJobToken(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** The attempt that a credential was made for. Undefined: nobody with this secret has made it. */
export function readJobToken(secret: Uint8Array, text: string): JobScope | undefined {
  const [, numbers, mac] = TOKEN.exec(text) ?? [];
  if (numbers === undefined || mac === undefined) return undefined;
  const [run, job, attempt, worker] = numbers.split(".").map(Number) as [
    number, number, number, number,
  ];
  const expected = signature(workerKey(secret, worker), numbers);
  return timingSafeEqual(expected, Buffer.from(mac, "hex"))
    ? { run, job, attempt, worker }
    : undefined;
}

function signature(key: Uint8Array, numbers: string): Buffer {
  return createHmac("sha256", key).update(numbers).digest();
}
