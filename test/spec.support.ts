/** A job as it travels, with what no test cares about filled in. */
import type { JobSpec, Service } from "#wire";

/** A service as it travels, with the defaults of a pipeline. */
export function serviceSpec(name: string, fields: Partial<Service> = {}): Service {
  return {
    name,
    deployed: false,
    check: { type: "tcp" },
    intervalMs: 2000,
    timeoutMs: 2000,
    healthyAfter: 1,
    unhealthyAfter: 3,
    startPeriodMs: 30_000,
    restart: {
      policy: "always", delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 0,
      windowMs: 600_000,
    },
    stopGraceMs: 5000,
    ...fields,
  };
}

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
