/**
 * Lesson 22: a plan as a person reads it: who is there, what is to be done, and then line by line
 * what happens when.
 *
 * Test: test/22-simulation.test.ts
 */
import { faultText } from "./faults.ts";
import type { JobPlan, PipelinePlan, Plan, PoolPlan, Step } from "./plan.ts";

/** The whole plan, a line each. */
export function planLines(plan: Plan): string[] {
  const workers = plan.workers.map(
    ({ name, slots, tags, isOld }) =>
      `${name} (${[counted(slots, "slot"), ...tags, ...(isOld ? ["old"] : [])].join(", ")})`,
  );
  const timeline = [
    ...plan.steps.map((step) => ({ at: step.at, text: `c${step.client} ${stepText(step)}` })),
    ...plan.faults.map((fault) => ({
      at: fault.at,
      text: faultText(fault).toUpperCase().slice(0, 1) + faultText(fault).slice(1),
    })),
    { at: plan.safetyMs, text: "everything is mended" },
  ].sort((a, b) => a.at - b.at);
  return [
    `seed ${plan.seed}; workers ${workers.join(", ")}; ${counted(plan.clients, "client")}; ` +
      `faults of this seed: ${plan.enabled.join(", ") || "none"}`,
    ...(plan.pools ?? []).flatMap(poolLines),
    `latency ${plan.latencyMs.join(" to ")} ms, sync ${plan.syncMs.join(" to ")} ` +
      `ms${plan.splitChunks ? ", writes arrive in pieces" : ""}`,
    ...plan.pipelines.flatMap(({ key, jobs, agent }) => [
      `pipeline ${key}${agent === undefined ? "" : agentText(agent)}`,
      ...jobs.map((job) => `  ${jobText(job, jobs)}`),
    ]),
    ...timeline.map(({ at, text }) => `t=${String(at).padEnd(6)} ${text}`),
    ...(plan.finale === "none" ? [] : [`at the end: ${plan.finale} m, and look again`]),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function poolLines(pool: PoolPlan): string[] {
  const { name, slots, tags, min, max } = pool;
  const orders = pool.orders.map(({ fate, takeMs, answerMs, bootMs, outlives, livesMs }) => {
    const alone = outlives ? "" : ", not without its master";
    const lives = fate === "dies" ? `, lives for ${livesMs} ms` : "";
    return `${fate} (${takeMs} + ${answerMs} ms, boots in ${bootMs}${alone}${lives})`;
  });
  return [
    `pool ${name}: ${min} to ${max} workers with ${counted(slots, "slot")}` +
      `${tags.length > 0 ? `, ${tags.join(", ")}` : ""}; up after ${pool.upAfterMs} ms, idle ` +
      `${pool.idleMs}, cooldown ${pool.cooldownMs}, starts within ${pool.startTimeoutMs}`,
    `  orders: ${orders.join("; ")}`,
    `  ends: ${pool.ends.map(({ fate, ms }) => `${fate} (${ms} ms)`).join("; ")}`,
  ];
}

function jobText(job: JobPlan, jobs: readonly JobPlan[]): string {
  const { id, does, dependsOn = [], retry } = job;
  const name = (index: number): string => jobs[index]?.id ?? `job ${index}`;
  return [
    `${id}: ${does}`,
    dependsOn.length > 0 &&
      `after ${dependsOn.map(name).join(", ")}` +
        `${job.when === undefined ? "" : ` (when: ${job.when})`}`,
    job.tags !== undefined && `on ${job.tags.join(", ")}`,
    job.affinity !== undefined && `where ${name(job.affinity)} was`,
    job.priority !== undefined && `priority ${job.priority}`,
    job.delayMs !== undefined && `delayed by ${job.delayMs} ms`,
    job.timeoutMs !== undefined && `timeout ${job.timeoutMs} ms`,
    retry !== undefined && `${retry.maxAttempts} attempts, ${retry.delayMs} ms apart`,
    job.service !== undefined && serviceText(job.service),
    job.gateMs !== undefined && gateText(job, job.gateMs),
  ]
    .filter(Boolean)
    .join("; ");
}

function agentText({ id, budget }: NonNullable<PipelinePlan["agent"]>): string {
  const limits = Object.entries(budget ?? {}).map(([what, limit]) => `${what} ${limit}`);
  return ` of agent run ${id}${limits.length === 0 ? "" : ` (at most ${limits.join(", ")})`}`;
}

function gateText({ gateNeeds, gateThen }: JobPlan, ms: number): string {
  const needs = gateNeeds === undefined ? "" : ` for ${gateNeeds} approvals`;
  const then = gateThen === undefined ? "" : `, then ${gateThen}`;
  return `a gate, open for ${ms} ms${needs}${then}`;
}

function serviceText(service: NonNullable<JobPlan["service"]>): string {
  const { policy, attempts, port, deployed } = service;
  const limit = attempts > 0 ? `, ${attempts} times a minute` : "";
  const what = `a service${deployed === undefined ? "" : ` deployed as ${deployed}`}`;
  return `${what}${port === undefined ? "" : ` on port ${port}`}, restart ${policy}${limit}`;
}

function stepText(step: Step): string {
  switch (step.do) {
    case "submit": return `submits ${step.run}`;
    case "cancel": return `cancels ${step.run}${step.job === undefined ? "" : `/${step.job}`}`;
    case "retry":
      return `retries ${step.run}${step.from === undefined ? "" : ` from ${step.from}`}`;
    case "gate":
      return (
        `${step.approve ? "approves" : "rejects"} ${step.run}/${step.job} once its gate is ` +
        "open"
      );
    case "add": {
      const jobs = step.jobs.map((job) => `${job.id} (${job.does})`).join(", ");
      const { before } = step;
      return `adds ${jobs} to ${step.run}${before ? `, before job ${before.join(" and ")}` : ""}`;
    }
    case "fork": return `forks ${step.run} at one of its steps`;
    case "status": return `asks for the status of ${step.run}`;
    case "stop": return `stops the services of ${step.run}`;
    case "restart": return `restarts the services of ${step.run}`;
    case "deploy": return `deploys ${step.run}, to be READY within ${step.updateMs} ms`;
    case "scale": return `scales ${step.service} to ${step.replicas}`;
    case "rollback": return `rolls ${step.service} back within ${step.updateMs} ms`;
    case "stop-name": return `stops ${step.service}`;
    case "watch": return `watches ${step.run}`;
    case "logs": return `reads the output of ${step.run}/${step.job}`;
    case "drain": return `${step.undo ? "ends the drain of" : "drains"} ${step.worker}`;
    case "launch": return `wants one more worker of ${step.pool}`;
    case "retire": return `retires ${step.worker}`;
    case "raise": return `raises ${step.what} of ${step.group} by ${step.amount}`;
    case "snapshot": return "wants a snapshot";
    case "hash": return "asks for the hash";
    case "dead": return "lists dead letters";
    default: return `lists ${step.do}`;
  }
}
