/**
 * A pipeline as it travels, as a person would write it: with the keys of a pipeline file, names for
 * indexes, and without what is so anyway.
 *
 * Values of environment variables may be secrets: their names are here, and no value.
 *
 * Test: test/http.definition.test.ts
 */
import {
  rulesOf, type Action, type Gate, type JobSpec, type PipelineSpec, type Service,
} from "#wire";

export function definitionJson({ name, version, agent, jobs }: PipelineSpec): object {
  return plain({
    name, version, agent: agent && plain({ id: agent.id, budget: agent.budget }),
    jobs: jobs.map((job) => jobJson(job, jobs)),
  });
}

function jobJson(job: JobSpec, all: readonly JobSpec[]): object {
  const { id, action, dependsOn, requirement, priority, delayMs, affinity, when, timeoutMs } = job;
  const { retry, env, gate, service, files } = job;
  const idOf = (index: number): string => all[index]?.id ?? String(index);
  return plain({
    id,
    ...actionJson(action),
    depends_on: some(dependsOn.map(idOf)),
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
    ...(service && serviceJson(service)),
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
    case "call": return { call: action.target, input: JSON.parse(action.input.toString("utf8")) };
  }
}

function gateJson(gate: Gate): object {
  const { form, approvers, required, onTimeout, selfApproval } = rulesOf(gate);
  return plain({
    message: gate.message, timeout: ms(gate.maxWaitMs), approvers: some(approvers),
    required: required === 1 ? undefined : required,
    on_timeout: onTimeout === "reject" ? undefined : onTimeout,
    self_approval: selfApproval ? undefined : false,
    form: some(form.map(({ name, type, label, choices, default: preset, required: must }) => plain({
      name, type, label: label === "" ? undefined : label, choices: some(choices),
      default: preset, required: must ? true : undefined,
    }))),
  });
}

function serviceJson({ name, port, restart }: Service): object {
  return plain({ type: "service", service: name, port, restart: restart.policy });
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
