/**
 * Lesson 17: a definition as the YAML that a person would write: defaults left out.
 *
 * Invariant: parsing the text gives the same definition again (without its warnings: the new text
 * gives no reason for them).
 * Test: test/17-pipelines.test.ts
 */
import { emitYaml } from "#yaml";
import { formatDuration } from "./duration.ts";
import {
  DEFAULT_GATE_WAIT_MS, DEFAULT_HEALTH, DEFAULT_RESTART, DEFAULT_RETRY, DEFAULT_STOP_GRACE_MS,
  MICROS_PER_USD,
} from "./limits.ts";
import type {
  ActionDefinition,
  AgentDefinition,
  FieldDefinition,
  GateDefinition,
  HealthDefinition,
  JobDefinition,
  PipelineDefinition,
  RestartDefinition,
  RetryDefinition,
  ServiceDefinition,
} from "./types.ts";

/**
 * The definition as YAML.
 *
 * @example
 * ```ts
 * import { parsePipeline, toYaml } from "#pipeline";
 * const build = parsePipeline("{name: build, jobs: [{id: a, run: ls, timeout: 90}]}");
 * toYaml(build) // => 'name: build\njobs:\n  - id: a\n    run: ls\n    timeout: 1m30s\n'
 * ```
 */
export function toYaml(definition: PipelineDefinition): string {
  const { name, version, project, projectWritten, agent, jobs } = definition;
  const written = project && !projectWritten ? undefined : project;
  const own = agent && agentFields(agent);
  return emitYaml({ name, version, project: written, ...own, jobs: jobs.map(jobFields) });
}

function agentFields({ id, budget }: AgentDefinition): object {
  const { fanOut, usdMicros, deadlineMs, ...limits } = budget;
  const given = unlessEmpty(budget) && {
    ...limits,
    fan_out: fanOut,
    usd: usdMicros && usdMicros / MICROS_PER_USD,
    deadline: deadlineMs && formatDuration(deadlineMs),
  };
  if (given === undefined && id !== undefined) return { agent_run_id: id };
  return { agent: { id, budget: given } };
}

function jobFields(job: JobDefinition): object {
  return {
    id: job.id,
    type: job.service && "service",
    ...actionFields(job.action),
    depends_on: unlessEmpty(job.dependsOn),
    when: unless(job.when, "success"),
    requirement: unlessEmpty(job.requirement),
    affinity: job.affinity,
    priority: unless(job.priority, 1),
    delay: duration(job.delayMs),
    timeout: duration(job.timeoutMs),
    ...retryFields(job.retry),
    env: unlessEmpty(job.env),
    ...(job.gate && gateFields(job.gate)),
    ...(job.service && serviceFields(job.service)),
    outputs: unlessEmpty(job.files?.outputs ?? []),
    inputs: unlessEmpty((job.files?.inputs ?? []).map((input) => given({ ...input }))),
  };
}

function gateFields({ message, maxWaitMs, rules }: GateDefinition): object {
  if (rules === undefined) {
    const seconds = unless(maxWaitMs / 1000, DEFAULT_GATE_WAIT_MS / 1000);
    return { hitl_message: message, max_wait_seconds: seconds };
  }
  const { form, approvers, required, onTimeout, selfApproval, notify } = rules;
  return { hitl: {
    message,
    form: unlessEmpty(form.map(fieldOf)),
    approvers: unlessEmpty(approvers),
    required: unless(required, 1),
    timeout: maxWaitMs === DEFAULT_GATE_WAIT_MS ? undefined : formatDuration(maxWaitMs),
    on_timeout: unless(onTimeout, "reject"),
    self_approval: unless(selfApproval, true),
    notify: notify && (notify.type === "command"
      ? { command: notify.argv } : { webhook: notify.url }),
  } };
}

function fieldOf(field: FieldDefinition): object {
  const { name, type, label, choices, default: preset, required } = field;
  return given({
    name,
    type: unless(type, choices.length > 0 ? "choice" : "text"),
    label: unless(label, ""),
    choices: unlessEmpty(choices),
    default: preset,
    required: unless(required, false),
  });
}

function serviceFields(service: ServiceDefinition): object {
  const { port, health, restart, replicas, stopGraceMs } = service;
  return {
    port,
    healthcheck: unlessEmpty(healthFields(health)),
    restart: restartField(restart),
    replicas: unless(replicas, 1),
    stop_grace: stopGraceMs === DEFAULT_STOP_GRACE_MS ? undefined : formatDuration(stopGraceMs),
  };
}

/** What differs from the usual. A key without a value is left out. */
function healthFields(health: HealthDefinition): Record<string, unknown> {
  const { check } = health;
  const usual = DEFAULT_HEALTH;
  const time = (ms: number, usualMs: number): string | undefined =>
    ms === usualMs ? undefined : formatDuration(ms);
  return given({
    http: check.type === "http" ? check.path : undefined,
    command: check.type === "command" ? check.argv : undefined,
    interval: time(health.intervalMs, usual.intervalMs),
    timeout: time(health.timeoutMs, usual.timeoutMs),
    healthy_after: unless(health.healthyAfter, usual.healthyAfter),
    unhealthy_after: unless(health.unhealthyAfter, usual.unhealthyAfter),
    start_period: time(health.startPeriodMs, usual.startPeriodMs),
  });
}

function restartField(restart: RestartDefinition): unknown {
  const { policy, delayMs, backoff, maxDelayMs, attempts, windowMs } = restart;
  const usual = { ...DEFAULT_RESTART, policy };
  const names = ["delayMs", "backoff", "maxDelayMs", "attempts", "windowMs"] as const;
  if (names.every((name) => restart[name] === usual[name])) return unless(policy, "always");
  const delays = { delay: formatDuration(delayMs), max_delay: formatDuration(maxDelayMs) };
  const counted = attempts === 0 ? {} : { attempts, window: formatDuration(windowMs) };
  return { policy, ...delays, backoff, ...counted };
}

function given(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function actionFields(action: ActionDefinition): object {
  if (action.type === "file") return { file: action.file, args: unlessEmpty(action.args) };
  if (action.type === "command") return { command: action.argv };
  if (action.type === "shell") return { run: action.script, shell: action.shell };
  return { call: action.target, input: action.input ?? undefined };
}

function retryFields(retry: RetryDefinition): object {
  const { maxAttempts, delayMs, backoff, maxDelayMs, jitter } = retry;
  const names = ["delayMs", "backoff", "maxDelayMs", "jitter"] as const;
  if (names.every((name) => retry[name] === DEFAULT_RETRY[name])) {
    return { retries: unless(maxAttempts - 1, 0) };
  }
  const delays = { delay: formatDuration(delayMs), max_delay: formatDuration(maxDelayMs) };
  return { retry: { max_attempts: maxAttempts, ...delays, backoff, jitter } };
}

function unless<T>(value: T, usual: T): T | undefined {
  return value === usual ? undefined : value;
}

function unlessEmpty<T extends object>(value: T): T | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

function duration(ms: number): string | undefined {
  return ms === 0 ? undefined : formatDuration(ms);
}
