/**
 * Lesson 19: a field of a pipeline file: its key, how it is written, and what a person should know.
 *
 * Test: test/19-dashboard.build.test.ts
 */

export type Level =
  | "pipeline" | "agent" | "budget" | "job" | "retry" | "healthcheck" | "restart" | "hitl"
  | "notify" | "form" | "input";

/** How a field is written, and how its text is to be understood. */
export type Kind =
  | "id" | "text" | "script" | "number" | "duration" | "boolean" | "choice"
  /** A list of texts, where one text stands for a list of one. */
  | "texts"
  /** Names of jobs. */
  | "jobs"
  /** The id of a parent, or true or false. */
  | "place"
  /** Names and texts. */
  | "env"
  /** Any value, as JSON. */
  | "json"
  /** A map, or a list of maps, with keys of its own. */
  | "map" | "maps";

export interface Field {
  readonly key: string;
  readonly kind: Kind;
  readonly help: string;
  /** What is meant by an absent key. */
  readonly usual?: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Numbers: whole ones only. */
  readonly whole?: boolean;
  /** Of a map: where its own keys are. */
  readonly level?: Level;
  /** Only in jobs that do this, or that are services. */
  readonly only?: "file" | "run" | "call" | "service" | "ends";
  /** Another name of this key. */
  readonly alias?: string;
  readonly group?: Group;
}

export const GROUPS = ["What it does", "When it runs", "Where it runs", "If it fails", "Gate",
  "Service", "Files"] as const;
export type Group = (typeof GROUPS)[number];

export const SHELLS = ["sh", "bash", "python3", "node"] as const;
export const count = (key: string, help: string, more: Partial<Field> = {}): Field =>
  ({ key, kind: "number", help, whole: true, min: 1, ...more });
export const time = (key: string, help: string, usual: string, more: Partial<Field> = {}): Field =>
  ({ key, kind: "duration", help, usual, ...more });
