/**
 * Lesson 10: one attempt as its worker gets it: what to do, and what its parents have handed on.
 *
 * Test: test/10-master.limits.test.ts, test/10-master.artifacts.test.ts
 */
import { invariant } from "#base";
import { answerOf, serviceEnv, specBytes, type Job, type Run, type State } from "#core";
import {
  MAX_BATCH_BYTES, MAX_INPUTS_BYTES, MAX_SERVICES,
  type AssignedFiles, type Assignment, type JobFiles,
} from "#wire";

/** The frame's own bytes of one assignment, or of one of its inputs. */
const ITEM_BYTES = 32;
/** A variable that names a service, at most: a name of 128 characters, a host of 256, a port. */
const SERVICE_ENV_BYTES = 512;
invariant(
  SERVICE_ENV_BYTES * 2 * MAX_SERVICES <= MAX_BATCH_BYTES,
  "where all services are is one more item of a batch",
);

/** `why`: it cannot start. */
export function assignmentOf(
  state: State, job: Job,
): { assignment: Assignment; bytes: number; why: string | undefined } {
  const { run, spec } = job;
  const inputs: Assignment["inputs"] = [];
  let inputBytes = 0;
  const parents = run.parentsOf(job);
  if (parents.length > 0) {
    for (const index of parents) {
      const parent = run.jobs[index]!;
      const { result, decision } = parent;
      if (result !== undefined) inputs.push({ job: parent.spec.id, result });
      if (decision !== undefined) {
        inputs.push({ job: `${parent.spec.id}:gate`, result: answerOf(parent.spec, decision) });
      }
    }
    for (const { job: name, result } of inputs) {
      inputBytes += result.length + 3 * name.length + ITEM_BYTES;
    }
  }
  const { action, timeoutMs, service } = spec;
  const { files, missing } = spec.files === undefined ? NO_FILES : filesOf(run, spec.files);
  // Nearly always there is no service that a job could be told of.
  const found = state.deployed.size + run.services.size > 0 ? serviceEnv(state, job) : undefined;
  const env = found === undefined ? spec.env : { ...found, ...spec.env };
  const assignment: Assignment = {
    run: run.number, job: job.index, attempt: job.attempt, runId: run.id, jobId: spec.id,
    action, timeoutMs, env, project: run.spec.project, inputs, service, files,
  };
  const nameBytes = 3 * (run.id.length + spec.id.length);
  const envBytes = found === undefined ? 0 : SERVICE_ENV_BYTES * Object.keys(found).length;
  const bytes = ITEM_BYTES + nameBytes + specBytes(spec) + inputBytes + envBytes;
  const tooMuch = inputBytes > MAX_INPUTS_BYTES
    ? `the results of its parents are ${inputBytes} bytes together, more than ${MAX_INPUTS_BYTES}`
    : undefined;
  return { assignment, bytes, why: tooMuch ?? missing };
}

const NO_FILES = { files: undefined, missing: undefined } as const;

/** Its inputs, as what is kept of them by now; or which of them is not there, and why. */
function filesOf(
  run: Run, { outputs, inputs }: JobFiles,
): { files: AssignedFiles; missing: string | undefined } {
  const files: AssignedFiles = { outputs, inputs: [] };
  for (const { job, path, to = path } of inputs) {
    const { spec: { id }, status } = run.jobs[job]!;
    const artifact = run.artifacts.get(`${id}/${path}`);
    if (artifact === undefined) {
      const why = status === "COMPLETED"
        ? "it was removed; a retry from that job makes it again" : `that job is ${status}`;
      return { files, missing: `its input ${path} of job "${id}" is not there: ${why}` };
    }
    const { name, sha256, size } = artifact;
    files.inputs.push({ name, sha256, size, to });
  }
  return { files, missing: undefined };
}
