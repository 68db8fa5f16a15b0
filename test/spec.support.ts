/** A job as it travels, with what no test cares about filled in. */
import type { JobSpec } from "#wire";

export function spec(id: string, fields: Partial<JobSpec> = {}): JobSpec {
  return {
    id,
    action: { type: "command", argv: ["true"] },
    dependsOn: [],
    requirement: [],
    priority: 1,
    delayMs: 0,
    affinity: undefined,
    when: "success",
    timeoutMs: 0,
    retry: undefined,
    env: {},
    gate: undefined,
    ...fields,
  };
}
