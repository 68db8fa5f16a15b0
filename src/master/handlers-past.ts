/**
 * Lesson 10: requests of those who look back: a moment, facts in words, one step.
 *
 * Invariants: those of handlers.ts.
 * Test: test/10-master.history.test.ts
 */
import type { IncomingRequest } from "#rpc";
import { Op } from "#wire";
import type { PastKind } from "./past-desk.ts";
import type { Handler, Peer, Services } from "./services.ts";

export const PAST_HANDLERS: Readonly<Record<number, Handler>> = {
  [Op.HISTORY]: (services, request, peer) => tell(services, request, { peer, kind: "moment" }),
  [Op.HISTORY_FACTS]: (services, request, peer) => tell(services, request, { peer, kind: "facts" }),
  [Op.HISTORY_STEP]: (services, request, peer) => tell(services, request, { peer, kind: "step" }),
};

/** As in handlers.ts: what may be long. */
export const PAST_LONG = [Op.HISTORY, Op.HISTORY_FACTS, Op.HISTORY_STEP] as const;

async function tell(
  { past, engine, turns }: Services, request: IncomingRequest,
  { peer: { connection }, kind }: { peer: Peer; kind: PastKind },
): Promise<void> {
  await past.inLine(connection, async () => {
    if (request.over) return;
    const pages = await past.ask({ kind, body: request.body, until: engine.nextSeq - 1 });
    for (const page of pages) {
      if (!(await turns.send(request, connection, () => page))) return;
    }
    request.end();
  });
}
