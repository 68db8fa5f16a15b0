/**
 * Lesson 20: Titan for assistants: a server of the Model Context Protocol, over a pipe or over
 * HTTP, for clients of all its versions.
 *
 *     a line, or the body of a POST
 *        │ json-rpc.ts, lines.ts, batch.ts
 *        ▼
 *     era.ts ──▶ modern.ts   each request says it all        ┐
 *           └──▶ legacy.ts   a handshake, and then a session ┴─▶ dispatch.ts ─▶ tools, resources,
 *                                                                               prompts
 *     stdio.ts           one client at the ends of a pipe
 *     http.ts            many clients, a POST each; headers.ts what these must repeat, stream.ts
 *                        answers that take a while, sessions.ts the handshake eras there
 *     caller.ts          who asks, as far as the dispatcher knows; options.ts what it was told
 *     request-state.ts   what a client carries from a question to its answer
 *     heavy.ts           the code with which tools work, loaded when it is needed
 *     offer.ts           all that is offered:
 *     tools/             a group of tools in each file, and the list of all
 *     resources.ts       what can be read; uris.ts its names; subscriptions.ts its news
 *     prompts.ts         what a person picks; instructions.ts what a model reads first
 *     pipeline-schema.ts every key of a pipeline
 *     names.ts           what a model means by a run, a job, a gate; rpc-error.ts refusals
 *     output-text.ts     as much of a log as a model reads; line-pattern.ts patterns on a leash
 *
 * It acts through a client of the master, like any other program (chapter 10).
 *
 * Invariants: one dispatcher, and no era behind it; a model never decides what a person must; a
 * caller that goes away ends its waiting, and no run.
 * Left out: OAuth. The token of the cluster is the only secret there is (chapter 21).
 * Test: test/20-mcp.test.ts
 */
import type { Mount } from "#http";
import { Dispatcher } from "./dispatch.ts";
import { HttpEndpoint } from "./http.ts";
import type { DispatcherOptions } from "./options.ts";
import { RequestStates } from "./request-state.ts";
import { StdioConnection } from "./stdio.ts";

export { loadHeavy } from "./heavy.ts";
export { TOOL_NAMES } from "./offer.ts";
export type { DispatcherOptions } from "./options.ts";

/** A server for one client at the ends of a pipe. `write` gets lines without their ends. */
export function mcpOverLines(
  options: DispatcherOptions, write: (line: string) => void,
): StdioConnection {
  const { host } = options;
  const states = new RequestStates(host);
  return new StdioConnection({ dispatcher: new Dispatcher(options), host, states, write });
}

/** A server for a path of the HTTP door. */
export function mcpOverHttp(options: DispatcherOptions): Mount {
  const { host } = options;
  const states = new RequestStates(host);
  return new HttpEndpoint({ dispatcher: new Dispatcher(options), host, states }).answer;
}
