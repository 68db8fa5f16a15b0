/**
 * Lesson 14: what a service must be before it becomes a fact. The reader of pipelines is stricter;
 * a client need not be ours.
 *
 * Test: test/14-services.core.test.ts
 */
import { MAX_DELAY_MS } from "#retry";
import { MAX_RESTART_ATTEMPTS, MAX_SERVICES, type JobSpec } from "#wire";
import { Refusal } from "./refusal.ts";
import type { State } from "./state.ts";

/** As in a pipeline: a name becomes a variable, and a word of a command. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** What is wrong with a job as a service, to be read after its name. */
export function unfitService(job: JobSpec): string | undefined {
  const { service, action, gate, retry, timeoutMs } = job;
  if (service === undefined) return undefined;
  if (action.type === "call") return "is a service, and a call is not a program that stays";
  if (gate !== undefined) return "is a service, and a gate would wait for its end";
  if (retry !== undefined) return "is a service, whose attempts follow its restart policy";
  if (timeoutMs > 0) return "is a service, and has a timeout";
  const { name, port, check, restart } = service;
  if (!NAME.test(name)) return `has ${JSON.stringify(name)} as the name of its service`;
  if (port !== undefined && (port < 1 || port > 65_535)) return `has port ${port}`;
  if (check.type === "command" && check.argv.length === 0) return "has an empty check command";
  // Nothing else may end up in a request that we write.
  if (check.type === "http" && !/^\/[!-~]*$/.test(check.path)) {
    return `checks the path ${JSON.stringify(check.path)}, which must begin with "/"`;
  }
  const times = [
    service.intervalMs, service.timeoutMs, service.startPeriodMs, service.stopGraceMs,
    restart.delayMs, restart.maxDelayMs, restart.windowMs,
  ];
  const long = times.find((ms) => ms > MAX_DELAY_MS);
  if (long !== undefined) return `has a time of ${long} ms, more than ${MAX_DELAY_MS}`;
  if (service.intervalMs < 1 || service.timeoutMs < 1) return "is checked every 0 ms, or for 0 ms";
  if (service.healthyAfter < 1 || service.unhealthyAfter < 1) return "changes after 0 checks";
  if (!(restart.backoff >= 1 && restart.backoff <= 1000)) return "has a backoff outside 1 to 1000";
  if (restart.attempts > MAX_RESTART_ATTEMPTS) {
    return `counts ${restart.attempts} restarts, more than ${MAX_RESTART_ATTEMPTS}`;
  }
  return undefined;
}

/**
 * Names that are deployed must be free, and each job may be told of every service.
 *
 * @throws {Refusal}
 */
export function checkServices(
  state: State, jobs: readonly JobSpec[], more: { already: number; doing: string },
): void {
  const { already, doing } = more;
  let services = 0;
  const fresh = new Set<string>();
  for (const { service } of jobs) {
    if (service === undefined) continue;
    services += 1;
    if (!service.deployed) continue;
    fresh.add(service.name);
    const [taken] = state.deployed.get(service.name) ?? [];
    if (taken === undefined) continue;
    const found = `the name "${service.name}" is in use by ${taken.run.id}`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found} (titan stop ${service.name} ends it)`);
  }
  const refuse = (count: number, whose: string): Refusal => {
    const found = `${count} services ${whose}, more than ${MAX_SERVICES}`;
    return new Refusal("INVALID", `Cannot ${doing}: ${found}`);
  };
  if (already + services > MAX_SERVICES) throw refuse(already + services, "in one run");
  const names = state.deployed.size + fresh.size;
  if (fresh.size > 0 && names > MAX_SERVICES) throw refuse(names, "are deployed");
}
