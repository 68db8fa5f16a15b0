/**
 * Lesson 14: what a service must be before it becomes a fact. The reader of pipelines is stricter;
 * a client need not be ours.
 *
 * Test: test/14-services.core.test.ts
 */
import { MAX_DELAY_MS } from "#retry";
import { GENERAL } from "#routing";
import { MAX_RESTART_ATTEMPTS, MAX_SERVICES, type JobSpec } from "#wire";
import { Refusal } from "./refusal.ts";
import type { Run, State } from "./state.ts";
import { openReplicas } from "./versions.ts";

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
 * Names that are deployed must be free, or all of one run, whose place the jobs are to take; and
 * each job may be told of every service.
 *
 * @returns that run
 * @throws {Refusal}
 */
export function checkServices(
  state: State, jobs: readonly JobSpec[],
  more: { already: number; doing: string; mayReplace?: boolean },
): Run | undefined {
  if (!jobs.some(({ service }) => service !== undefined)) return undefined; // nearly always
  const { already, doing, mayReplace = false } = more;
  const services = jobs.filter(({ service }) => service !== undefined).length;
  const names = new Set(jobs.flatMap(({ service }) => service?.deployed ? [service.name] : []));
  const replaced = [...names].flatMap((name) => holderOf(state, name, { doing, mayReplace }) ?? []);
  const other = replaced.find((run) => run !== replaced[0]);
  if (other !== undefined) {
    const found = `it would take the place of ${replaced[0]!.id} and of ${other.id}`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found} (titan stop ends one of them)`);
  }
  const refuse = (count: number, whose: string): Refusal => {
    const found = `${count} services ${whose}, more than ${MAX_SERVICES}`;
    return new Refusal("INVALID", `Cannot ${doing}: ${found}`);
  };
  if (already + services > MAX_SERVICES) throw refuse(already + services, "in one run");
  const fresh = [...names].filter((name) => !state.deployed.has(name)).length;
  const all = state.deployed.size + fresh;
  if (fresh > 0 && all > MAX_SERVICES) throw refuse(all, "are deployed");
  if (replaced[0] !== undefined) checkPorts(state, jobs, { replaced: replaced[0], doing });
  return replaced[0];
}

/** The run to which a name leads, if it goes on; undefined: the name is free. */
function holderOf(
  state: State, name: string, { doing, mayReplace }: { doing: string; mayReplace: boolean },
): Run | undefined {
  const named = state.names.get(name);
  if (named === undefined) return undefined;
  const { current, next } = named;
  const refuse = (found: string): Refusal => new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
  if (next !== undefined) {
    const advice = `titan stop ${next.id} calls it off`;
    throw refuse(`an update of "${name}" to ${next.id} is under way (${advice})`);
  }
  if (openReplicas(current, name).length === 0) return undefined; // The others only drain.
  if (mayReplace) return current;
  throw refuse(`the name "${name}" is in use by ${current.id} (titan stop ${name} ends it)`);
}

/**
 * A new version starts beside the old one. With a fixed port it needs workers on which the old one
 * does not have it: without them it would only be tried, and refused, until its time is up.
 */
function checkPorts(
  state: State, jobs: readonly JobSpec[], { replaced, doing }: { replaced: Run; doing: string },
): void {
  for (const { service, requirement } of jobs) {
    if (service?.deployed !== true || service.port === undefined) continue;
    const { name, port } = service;
    const capable = [...state.workers.values()].filter(({ draining, tags }) =>
      !draining && requirement.every((tag) => tag === GENERAL || tags.includes(tag)));
    const having = new Set([...replaced.services].flatMap(({ status, worker, spec }) =>
      status === "RUNNING" && spec.service!.port === port ? [worker] : []));
    const free = capable.filter(({ id }) => !having.has(id)).length;
    const needed = jobs.filter(({ service: other }) => other?.name === name).length;
    if (free >= needed || free === capable.length) continue;
    const where = free === 0 ? "all workers that could have it" : `${having.size} workers`;
    const found = `port ${port} is fixed, and ${replaced.id} has it on ${where}`;
    const advice = "leave the port to Titan (TITAN_PORT), add workers, or stop the service first";
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}: ${advice}`);
  }
}
