/**
 * Lesson 19: the routes of the event stream, and of what is measured.
 *
 * Test: test/http.events.test.ts, test/http.metrics.test.ts
 */
import { metricsText } from "./metrics.ts";
import { MAX_STREAMS } from "./options.ts";
import { HttpError, Live, Plain, type Asked, type Route } from "./route.ts";

/** Runs that one stream follows with their jobs: a page looks at one, or at those of an agent. */
export const MAX_FOLLOWED = 50;
const MAX_ID_CHARS = 256;

export const STREAMS: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/events", type: "text/event-stream",
    summary: "What happens, as it happens: server-sent events.",
    query: {
      run: `also all that happens in this run, with its jobs (again for more, at most ` +
        `${MAX_FOLLOWED})`,
      facts: "all: attempts and steps of all runs, too; few: not even of those that are followed",
      lastEventId: "go on behind this message, as the header Last-Event-ID says",
      once: "1: it ends as soon as all has been told that there is to tell",
    },
    run: async (asked) => events(asked),
  },
  {
    method: "GET", path: "/metrics", type: "text/plain",
    summary: "What the master measures, in the text format of Prometheus.",
    run: async ({ client, hub, lag }) => {
      const [measured, workers] = await Promise.all([client.metrics(), client.workers()]);
      const text = metricsText(measured, { workers, streams: hub.size, lagMs: lag.take() });
      return new Plain("text/plain; version=0.0.4; charset=utf-8", text);
    },
  },
];

function events({ hub, query, lastEventId }: Asked): Live {
  const runs = [...new Set(query.getAll("run"))].sort();
  if (runs.length > MAX_FOLLOWED || runs.some((run) => run.length > MAX_ID_CHARS)) {
    throw new HttpError(400, "BAD_REQUEST", `Cannot follow these runs: at most ${MAX_FOLLOWED}, ` +
      `each with an id of at most ${MAX_ID_CHARS} characters`);
  }
  const last = lastEventId ?? query.get("lastEventId") ?? "";
  const at = /^\d{1,15}$/.test(last) ? Number(last) : undefined;
  if (hub.isFull) {
    throw new HttpError(503, "OVERLOADED",
      `Cannot open an event stream: ${MAX_STREAMS} are open, and no more may be`,
      { "retry-after": "10" });
  }
  const facts = query.get("facts");
  const interest = { all: facts === "all", runs, details: facts !== "few" };
  return new Live((outlet) => hub.open(outlet, interest, { at, once: query.get("once") === "1" }));
}
