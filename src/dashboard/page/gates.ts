/**
 * Lesson 19: open gates and the answers to them, without a document.
 *
 * Test: test/19-dashboard.people.test.ts
 */
import type { Gate, GateField } from "./rows.ts";

/** What a person has typed so far. */
export interface Draft {
  readonly comment: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly sending?: boolean;
  readonly error?: string | undefined;
}

/** The next to close comes first. */
export function gatesByDeadline(gates: readonly Gate[]): Gate[] {
  return [...gates].sort((a, b) => a.deadline - b.deadline || a.openedAt - b.openedAt);
}

/** RUN/JOB, RUN/JOB#2 after a retry, RUN/JOB:KEY for a question of the job itself. */
export function namesOfGate(id: string): { run: string; job: string } {
  const slash = id.indexOf("/");
  const [run, rest] = [id.slice(0, slash), id.slice(slash + 1)];
  return { run, job: rest.replace(/[:#].*$/s, "") };
}

/** The form as it is sent. A field that is empty is left out: then its default counts. */
export function valuesOf(
  form: readonly GateField[], typed: Readonly<Record<string, string>>,
): { values: Record<string, string>; problem?: string } {
  const values: Record<string, string> = {};
  for (const { name, type, label, required, ...field } of form) {
    const text = typed[name]?.trim() ?? field.default ?? "";
    const caption = label || name;
    if (text === "") {
      if (required) return { values, problem: `${caption} is needed for an approval` };
      continue;
    }
    if (type === "number" && !Number.isFinite(Number(text))) {
      return { values, problem: `${caption} is "${text}", and must be a number` };
    }
    values[name] = text;
  }
  return { values };
}
