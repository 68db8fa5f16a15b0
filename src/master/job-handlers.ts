/**
 * Lesson 18: requests of a job about itself: more jobs for its run, an answer, a pause. They come
 * over a session that the job has opened with its own credential (scope.ts).
 *
 * Invariants: those of handlers.ts; whoever asks is the attempt of the credential, whatever the
 * request says.
 * Test: test/18-agents.session.test.ts
 */
import { isPausing } from "#core";
import { RpcError } from "#rpc";
import {
  Ask, Asked, AttemptKey, Op, Pausing, Spawn, Spawned, WaitReply, WaitRequest, type JobScope,
} from "#wire";
import type { Handler, Peer, Services } from "./services.ts";

export const JOB_HANDLERS: Readonly<Record<number, Handler>> = {
  [Op.SPAWN]: async ({ engine }, request, peer) => {
    const by = scopeOf(peer, "add jobs");
    checkBacklog(engine);
    const spawn = Spawn.decode(request.body);
    request.reply(Spawned.encode(await engine.execute({ type: "Spawn", by, ...spawn })));
  },
  [Op.WAIT]: async ({ engine }, request, peer) => {
    const by = scopeOf(peer, "wait");
    const { waits } = WaitRequest.decode(request.body);
    request.reply(WaitReply.encode(await engine.execute({ type: "Wait", by, waits })));
  },
  [Op.ASK]: async ({ engine }, request, peer) => {
    const by = scopeOf(peer, "ask");
    checkBacklog(engine);
    const { key, gate } = Ask.decode(request.body);
    request.reply(Asked.encode(await engine.execute({ type: "Ask", by, key, gate })));
  },
  [Op.PAUSING]: ({ engine }, request, { link }) => {
    const pausing = isPausing(engine.state, AttemptKey.decode(request.body), link?.id ?? 0);
    request.reply(Pausing.encode({ pausing }));
  },
};

function scopeOf({ scope }: Peer, doing: string): JobScope {
  if (scope !== undefined) return scope;
  const found = "this session is not that of a running job (TITAN_TOKEN of its environment)";
  throw new RpcError("CONFLICT", `Cannot ${doing}: ${found}`);
}

/**
 * Events that wait for the disk, beyond which no new work is taken: a quarter of what the log can
 * hold for those who cannot wait.
 */
const MAX_LOG_BACKLOG_BYTES = 64 * 1024 * 1024;

export function checkBacklog({ backlogBytes }: Services["engine"]): void {
  if (backlogBytes <= MAX_LOG_BACKLOG_BYTES) return;
  const found = `the disk is behind by ${backlogBytes} bytes, more than ${MAX_LOG_BACKLOG_BYTES}`;
  throw new RpcError("OVERLOADED", `Cannot take new work: ${found}`);
}
