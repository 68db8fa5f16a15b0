/**
 * Lesson 19: the HTTP interface of a master, on `node:http`: everything that the command line
 * knows, as JSON with the same fields.
 *
 *     server.ts     the port; options.ts what it is told
 *     serving.ts    the way of a request; body.ts its body
 *     guard.ts      who may ask: Host, Origin, token, and the header of a change
 *     sessions.ts   a link that works once, and the cookie that it becomes
 *     route.ts      a route, and the way from a path to it
 *     reads.ts      what can be read; changes.ts what can be changed; output.ts what jobs print
 *     together.ts   several answers in one, made once for all who ask alike
 *     history.ts    what was true at a moment, and what led there
 *     submission.ts a pipeline that comes, with its files
 *     agents.ts     agent runs and steps; files.ts artifacts; keys.ts the store
 *     mount.ts      another protocol at a path of its own: MCP
 *     streams.ts    routes of the event stream and of metrics
 *         events.ts     one subscription for all readers
 *         reader.ts     one of them; frames.ts what is said to them
 *         catch-up.ts   one that is new, back or late; recent.ts the facts that it may have missed
 *         touched.ts    rows of what has changed
 *     pages.ts      the dashboard: its files and its page
 *     metrics.ts    what is measured, as text; lag.ts how long the process did not listen
 *     openapi.ts    the interface, described by itself
 *     answer.ts     answers and errors, with the headers that all of them have
 *
 * Invariants: no request is served whose Host or Origin is unknown; nothing is changed for a page
 * of another origin; the fields are those of `--json`.
 * Test: test/http.test.ts
 */
export { EventHub, type HubOptions } from "./events.ts";
export { news, NO_ROWS, type SeenFact } from "./frames.ts";
export type { Mount, MountedAnswer, MountedRequest } from "./mount.ts";
export { HttpDoor } from "./server.ts";
export type { HttpOptions } from "./options.ts";
export type { Outlet } from "./reader.ts";
