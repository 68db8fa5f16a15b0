/**
 * Lesson 20: what a tool is: a name, words for a model, two schemas, four hints, and a function.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import type { Host } from "#host";
import { object, type Schema } from "#rows";
import type { Client } from "#sdk";
import type { Caller } from "../caller.ts";

export interface ToolContext {
  readonly titan: Client;
  readonly host: Host;
  readonly caller: Caller;
  /** `--master HOST:PORT` of commands that a person is to type; empty: they need none. */
  readonly master: string;
  readonly allowApprove: boolean;
  /** Where relative paths begin. Undefined: the caller's files are not here. */
  readonly folder: string | undefined;
}

export interface ToolAnswer {
  /** For the model: what happened, and what to do next. */
  readonly text: string;
  readonly data: object;
  /** Resources that say more. */
  readonly links?: readonly object[];
  /** The text holds the data whole: no copy of it. */
  readonly isLong?: boolean;
}

/** Arguments that fit the tool's schema. */
export type Args = Readonly<Record<string, unknown>>;

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Schema;
  readonly output: Schema;
  /** It changes nothing. */
  readonly reads: boolean;
  /** It may end or replace something that is there. */
  readonly destroys: boolean;
  /** Calling it again with the same arguments changes nothing more. */
  readonly repeats: boolean;
  /** What it starts may reach beyond the cluster: programs of people do. */
  readonly leaves: boolean;
  run(args: Args, context: ToolContext): Promise<ToolAnswer>;
}

/** A refusal that a model can do something about. */
export class ToolProblem extends Error {
  override readonly name = "ToolProblem";
}

type Kind = Pick<Tool, "reads" | "destroys" | "repeats" | "leaves">;
export const READS: Kind = { reads: true, destroys: false, repeats: true, leaves: false };
/** Adds something, and adds it again if it is called again. */
export const STARTS: Kind = { reads: false, destroys: false, repeats: false, leaves: true };
export const REPLACES: Kind = { reads: false, destroys: true, repeats: true, leaves: false };

/** The name of a field that may be missing ends with "?". */
export function fields(of: Readonly<Record<string, Schema>>): Schema {
  return object(of);
}

export function words(description: string, more: Schema = {}): Schema {
  return { type: "string", ...more, description };
}

export function whole(description: string, limits: Schema = {}): Schema {
  return { type: "integer", ...limits, description };
}

export function textOf(args: Args, name: string): string | undefined {
  return args[name] as string | undefined;
}
