/**
 * Lesson 18: what a job may ask of its master with its own credential (TITAN_TOKEN in its
 * environment).
 *
 *     read     its own run: state, output, reasons, gates, artifacts; artifacts that are kept
 *     change   its own run, while its attempt runs: more jobs, steps, artifacts; it may keep some
 *     besides  the store, files by their hash, a sign of life
 *
 * Invariants: a job reads and changes no other run; a change is fenced here, or by the decision
 * that it becomes (the command then has `by`); answers to gates are not in the table, so that no
 * program approves itself.
 * Test: test/18-agents.credential.test.ts
 */
import { fenced, findRun } from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import {
  ArtifactPut, ArtifactRef, ArtifactsAsked, InfoRequest, Op, RemoveArtifacts, RunRef, type JobScope,
} from "#wire";
import type { Services } from "./services.ts";

/** Throws if this request is not for this job. */
type Check = (services: Services, request: IncomingRequest, scope: JobScope) => void;

/** Concerns no run, or its handler looks at the scope. */
const free: Check = () => undefined;

/** The run is the first field of every message that names one: the rest is skipped here. */
const ownRun: Check = ({ engine }, request, scope) => {
  const { run } = RunRef.decode(request.body);
  if (findRun(engine.state, run).number === scope.run) return;
  throw refusal(request.opcode, `${run} is another run than that of this job`);
};

/** `run` empty or absent: an artifact that is kept by its name. */
function ownRunOrKept(
  services: Services,
  request: IncomingRequest,
  scope: JobScope,
  run = "",
): void {
  if (run === "" || findRun(services.engine.state, run).number === scope.run) return;
  throw refusal(request.opcode, `${run} is another run than that of this job`);
}

const SCOPED: Readonly<Record<number, Check>> = {
  [Op.PING]: free,
  [Op.KV]: free,
  [Op.BLOB_HAS]: free,
  [Op.BLOB_PUT]: free,
  [Op.BLOB_GET]: free,
  [Op.GATES]: free,
  [Op.INFO]: (_services, request) => {
    if (!InfoRequest.decode(request.body).hash) return;
    throw refusal(request.opcode, "a job does not ask for the hash of the state");
  },
  [Op.ARTIFACT_PUT]: (services, request, scope) => {
    const { head } = ArtifactPut.decode(request.body);
    if (head === undefined) return; // a piece of one that has begun here
    ownRunOrKept(services, request, scope, head.run);
    fenced(services.engine.state, scope, "put an artifact");
  },
  [Op.ARTIFACT_GET]: (services, request, scope) =>
    ownRunOrKept(services, request, scope, ArtifactRef.decode(request.body).run),
  [Op.ARTIFACTS]: (services, request, scope) => {
    const { run, kept } = ArtifactsAsked.decode(request.body);
    if (run === undefined && !kept) throw refusal(request.opcode, "it names no run");
    ownRunOrKept(services, request, scope, run);
  },
  [Op.REMOVE_ARTIFACTS]: (services, request, scope) => {
    const { ref } = RemoveArtifacts.decode(request.body);
    if (ref === undefined || ref.run === "") {
      throw refusal(request.opcode, "a job removes artifacts of its own run");
    }
    ownRunOrKept(services, request, scope, ref.run);
    fenced(services.engine.state, scope, "remove an artifact");
  },
  [Op.STATUS]: ownRun,
  [Op.WATCH]: ownRun,
  [Op.LOGS]: ownRun,
  [Op.WHY]: ownRun,
  [Op.STEPS]: ownRun,
  [Op.STEP_START]: free,
  [Op.STEP_END]: free,
  [Op.ADD_JOBS]: (services, request, scope) => {
    ownRun(services, request, scope);
    fenced(services.engine.state, scope, "add jobs");
  },
  // About itself, and fenced by the decision.
  [Op.SPAWN]: free,
  [Op.WAIT]: free,
  [Op.ASK]: free,
};

/**
 * @throws {RpcError} UNAUTHORIZED: it is not for a job, or not for this one
 * @throws {Refusal} CONFLICT: the attempt is over
 */
export function checkScope(services: Services, request: IncomingRequest, scope: JobScope): void {
  const check = SCOPED[request.opcode];
  if (check !== undefined) return check(services, request, scope);
  throw refusal(request.opcode, "a job may use its own run, and this is for people");
}

function refusal(opcode: number, found: string): RpcError {
  const name = Object.entries(Op).find(([, code]) => code === opcode)?.[0] ?? opcode;
  const advice = "its TITAN_TOKEN is the credential of a job";
  return new RpcError("UNAUTHORIZED", `Cannot serve ${name}: ${found} (${advice})`);
}
