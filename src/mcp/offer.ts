/**
 * Lesson 20: all that a client can use: tools, resources and prompts. A client that starts a server
 * to ask for its versions waits for this, too: so it imports types of the SDK, and no code of it.
 *
 * Invariants: a tool that fails is a result that says so, and what to do next; an error of the
 * protocol is one that no other arguments would mend; lists are the same for every connection.
 * Test: test/20-mcp.test.ts
 */
import { mismatch } from "#rows";
import type { Caller } from "./caller.ts";
import { CODES, isObject, RpcFailure, type Params } from "./json-rpc.ts";
import type { DispatcherOptions } from "./options.ts";
import { getPrompt, PROMPTS } from "./prompts.ts";
import { listResources, readResource, TEMPLATES } from "./resources.ts";
import { failureText } from "./tools/failure.ts";
import { TOOLS } from "./tools/list.ts";
import type { Tool, ToolAnswer, ToolContext } from "./tools/tool.ts";

export const TOOL_NAMES: readonly string[] = TOOLS.map(({ name }) => name);

export class Offer {
  readonly #options: DispatcherOptions;
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #toolList: object;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { readOnly = false, allow } = options;
    const offered = TOOLS.filter(({ name, reads }) =>
      (reads || !readOnly) && (allow === undefined || allow.includes(name)));
    this.#tools = new Map(offered.map((tool) => [tool.name, tool]));
    this.#toolList = { tools: offered.map(describe) };
  }

  // #region dispatch
  async dispatch(method: string, params: Params, caller: Caller): Promise<object> {
    switch (method) {
      case "tools/call": return this.#call(params, caller);
      case "tools/list": return onePage(params, this.#toolList);
      case "resources/list":
        return onePage(params, await listResources(await this.#options.session()));
      case "resources/templates/list": return onePage(params, TEMPLATES);
      case "resources/read":
        return readResource(await this.#options.session(), this.#options.host, params);
      case "prompts/list": return onePage(params, PROMPTS);
      case "prompts/get": return getPrompt(params);
      default: throw new RpcFailure(CODES.NO_METHOD, `Cannot serve ${method}: no such method`);
    }
  }
  // #endregion

  // #region call
  async #call(params: Params, caller: Caller): Promise<object> {
    const { name } = params;
    const tool = typeof name === "string" ? this.#tools.get(name) : undefined;
    if (tool === undefined) throw this.#noTool(name);
    const { arguments: args = {} } = params;
    if (!isObject(args)) {
      throw new RpcFailure(CODES.INVALID_PARAMS, `Cannot call ${name}: arguments is no object`);
    }
    const wrong = mismatch(tool.input, args, "");
    if (wrong !== undefined) return failed(`Cannot use the arguments of ${name}: ${bare(wrong)}`);
    const { host, master, allowApprove = false, folder } = this.#options;
    try {
      const titan = await this.#options.session();
      const context: ToolContext = { titan, host, caller, master, allowApprove, folder };
      return succeeded(await tool.run(args, context));
    } catch (error) {
      const text = failureText(error, { master });
      if (text === undefined) throw error;
      return failed(text);
    }
  }
  // #endregion

  #noTool(name: unknown): RpcFailure {
    const known = TOOLS.some((tool) => tool.name === name);
    const why = known ? "it is switched off here (--read-only, --allow)" : "there is no such tool";
    return new RpcFailure(CODES.INVALID_PARAMS,
      `Cannot call ${JSON.stringify(name)?.slice(0, 100)}: ${why}`);
  }
}

/** All lists are short. A cursor is none of ours. */
function onePage({ cursor }: Params, list: object): object {
  if (cursor === undefined) return list;
  throw new RpcFailure(CODES.INVALID_PARAMS, "Cannot go on with this cursor: it is none of ours");
}

function describe(tool: Tool): object {
  const { name, title, description, input, output, reads, destroys, repeats, leaves } = tool;
  return {
    name, title, description, inputSchema: input, outputSchema: output,
    annotations: {
      title, readOnlyHint: reads, destructiveHint: destroys, idempotentHint: repeats,
      openWorldHint: leaves,
    },
  };
}

/** `.job_id: is missing` as people say it. */
function bare(wrong: string): string {
  return wrong.replace(/^\.?/, "").replace(/^: /, "");
}

/** The text is for the model; the JSON behind it is for clients that know no structured content. */
function succeeded({ text, data, links = [], isLong = false }: ToolAnswer): object {
  const copy = isLong ? [] : [{ type: "text", text: JSON.stringify(data) }];
  return { content: [{ type: "text", text }, ...copy, ...links], structuredContent: data };
}

function failed(text: string): object {
  return { content: [{ type: "text", text }], isError: true };
}
