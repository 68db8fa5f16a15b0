/**
 * A pipeline as it travels, as a person would write it: with the keys of a pipeline file, names for
 * indexes, replicas as one service, and without what is so anyway.
 *
 * Values of environment variables, and addresses that are told of gates, may be secrets: their
 * names and their hosts are here, and no more.
 *
 * Invariant: it is a pipeline again, the same one but for these values (the constructor opens it).
 * Test: test/http.definition.test.ts
 */
import { webhookShown } from "#base";
import {
  MICROS_PER_USD, rulesOf, type Action, type Budget, type Gate, type GateRules, type HealthCheck,
  type JobSpec, type PipelineSpec, type RestartPolicy, type Service,
} from "#wire";

/** The service of a file that says nothing else. Not from #pipeline: it would all be loaded. */
const USUAL_HEALTH = {
  intervalMs: 2000, timeoutMs: 2000, healthyAfter: 1, unhealthyAfter: 3, startPeriodMs: 30_000,
};
const USUAL_RESTART = {
  delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 0, windowMs: 600_000,
};
const USUAL_STOP_GRACE_MS = 5000;

export function definitionJson({ name, version, agent, jobs }: PipelineSpec): object {
  const replicas = new Map<string, number>();
  for (const { service } of jobs) {
    if (service !== undefined) replicas.set(service.name, (replicas.get(service.name) ?? 0) + 1);
  }
  const written = jobs.filter(({ id, service }) => service === undefined || service.name === id);
  return plain({
    name, version,
    agent: agent && plain({ id: agent.id, budget: agent.budget && budgetJson(agent.budget) }),
    jobs: written.map((job) => jobJson(job, { all: jobs, replicas: replicas.get(job.id) })),
  });
}

function budgetJson(budget: Budget): object {
  const { jobs, depth, fanOut, steps, tokens, usdMicros, deadlineMs } = budget;
  return plain({
    jobs, depth, fan_out: fanOut, steps, tokens,
    usd: usdMicros === undefined ? undefined : usdMicros / MICROS_PER_USD,
    deadline: deadlineMs === undefined ? undefined : ms(deadlineMs),
  });
}

interface Around {
  readonly all: readonly JobSpec[];
  readonly replicas: number | undefined;
}

function jobJson(job: JobSpec, { all, replicas }: Around): object {
  const { id, action, dependsOn, requirement, priority, delayMs, affinity, when, timeoutMs } = job;
  const { retry, env, gate, service, files } = job;
  /** Of a replica, that of its service. */
  const idOf = (index: number): string =>
    all[index]?.service?.name ?? all[index]?.id ?? String(index);
  return plain({
    id,
    ...actionJson(action),
    depends_on: some([...new Set(dependsOn.map(idOf))]),
    requirement: some(requirement),
    priority: priority === 1 ? undefined : priority,
    delay: delayMs === 0 ? undefined : ms(delayMs),
    affinity: affinity === undefined ? undefined : idOf(affinity),
    when: when === "success" ? undefined : when,
    timeout: timeoutMs === 0 ? undefined : ms(timeoutMs),
    retry: retry && {
      max_attempts: retry.maxAttempts, delay: ms(retry.delayMs), backoff: retry.backoff,
      max_delay: ms(retry.maxDelayMs), jitter: retry.jitter,
    },
    env: some(Object.keys(env)) && Object.fromEntries(Object.keys(env).map((key) => [key, "…"])),
    hitl: gate && gateJson(gate),
    ...(service && serviceJson(service, replicas)),
    outputs: some(files?.outputs ?? []),
    inputs: some((files?.inputs ?? []).map(({ job: from, path, to }) =>
      plain({ job: idOf(from), path, as: to }))),
  });
}

function actionJson(action: Action): object {
  switch (action.type) {
    case "file": return plain({ file: action.file, args: some(action.args) });
    case "command": return { command: action.argv };
    case "shell": return plain({ run: action.script, shell: action.shell });
    case "call": return plain({ call: action.target, input: inputJson(action.input) });
  }
}

/** Of a client that is not ours it may be anything, and nothing as well. */
function inputJson(input: Buffer): unknown {
  const text = input.toString("utf8");
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

function gateJson(gate: Gate): object {
  const { form, approvers, required, onTimeout, selfApproval, notify } = rulesOf(gate);
  return plain({
    message: gate.message, timeout: ms(gate.maxWaitMs), approvers: some(approvers),
    required: required === 1 ? undefined : required,
    on_timeout: onTimeout === "reject" ? undefined : onTimeout,
    self_approval: selfApproval ? undefined : false,
    form: some(form.map(({ name, type, label, choices, default: preset, required: must }) => plain({
      name, type, label: label === "" ? undefined : label, choices: some(choices),
      default: preset, required: must ? true : undefined,
    }))),
    notify: notify && notifyJson(notify),
  });
}

function notifyJson(notify: NonNullable<GateRules["notify"]>): object {
  return notify.type === "command"
    ? { command: notify.argv } : { webhook: webhookShown(notify.url) };
}

function serviceJson(service: Service, replicas = 1): object {
  const { port, restart, stopGraceMs } = service;
  return plain({
    type: "service", port, healthcheck: healthJson(service), restart: restartJson(restart),
    replicas: unless(replicas, 1),
    stop_grace: stopGraceMs === USUAL_STOP_GRACE_MS ? undefined : ms(stopGraceMs),
  });
}

function healthJson(service: Service): object | undefined {
  const { check, intervalMs, timeoutMs, startPeriodMs, healthyAfter, unhealthyAfter } = service;
  const usual = USUAL_HEALTH;
  const time = (own: number, by: number): string | undefined => own === by ? undefined : ms(own);
  const made = plain({
    ...checkJson(check),
    interval: time(intervalMs, usual.intervalMs), timeout: time(timeoutMs, usual.timeoutMs),
    healthy_after: unless(healthyAfter, usual.healthyAfter),
    unhealthy_after: unless(unhealthyAfter, usual.unhealthyAfter),
    start_period: time(startPeriodMs, usual.startPeriodMs),
  });
  return Object.keys(made).length === 0 ? undefined : made;
}

/** That its port takes a connection is looked for anyway. */
function checkJson(check: HealthCheck): object {
  if (check.type === "http") return { http: check.path };
  return check.type === "command" ? { command: check.argv } : {};
}

/** The policy alone, if it is all that somebody has written. */
function restartJson(restart: RestartPolicy): unknown {
  const { policy, delayMs, backoff, maxDelayMs, attempts, windowMs } = restart;
  const usual = USUAL_RESTART;
  const names = ["delayMs", "backoff", "maxDelayMs", "attempts", "windowMs"] as const;
  if (names.every((name) => restart[name] === usual[name])) return policy;
  return plain({
    policy, delay: ms(delayMs), max_delay: ms(maxDelayMs), backoff,
    attempts: unless(attempts, 0), window: attempts === 0 ? undefined : ms(windowMs),
  });
}

function unless(value: number, usual: number): number | undefined {
  return value === usual ? undefined : value;
}

function ms(value: number): string {
  return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`;
}

function some<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** Without the keys that have no value. */
function plain(value: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(value).filter(([, own]) => own !== undefined));
}
