/**
 * A recorded scientific workflow as a Titan pipeline: the same graph, the same proportions, in a
 * thousandth of the time.
 *
 * Two lower bounds judge a schedule without knowing the best one: no schedule ends before its
 * longest chain of jobs has run (the critical path), nor before all the work has been done by all
 * the slots at once (total work ÷ slots).
 */
import { readFileSync } from "node:fs";
import type { JobInfo, JobSpec } from "#wire";

export interface Task {
  readonly id: string;
  readonly kind: string;
  readonly parents: readonly string[];
  readonly runtime_s: number;
}

export interface Workflow {
  readonly name: string;
  readonly source: string;
  readonly makespan_s: number;
  readonly tasks: readonly Task[];
}

export function readWorkflow(file: string): Workflow {
  const workflow = JSON.parse(readFileSync(file, "utf8")) as Workflow;
  if (!Array.isArray(workflow.tasks) || workflow.tasks.length === 0) {
    throw new Error(`Cannot read workflow ${file}: it has no tasks`);
  }
  return workflow;
}

/** Whole milliseconds, at least one: a timer counts in those. */
export function scaledMs(task: Task, scale: number): number {
  return Math.max(1, Math.round(task.runtime_s * 1000 * scale));
}

/** Each task becomes a call that sleeps for its scaled run time. */
export function toJobs(workflow: Workflow, scale: number): JobSpec[] {
  const indexes = new Map(workflow.tasks.map((task, index) => [task.id, index]));
  return workflow.tasks.map((task) => ({
    id: task.id.slice(0, 128),
    action: {
      type: "call", target: "titan:sleep", input: Buffer.from(String(scaledMs(task, scale))),
    },
    dependsOn: task.parents.map((parent) => indexes.get(parent)!),
    requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success", timeoutMs: 0,
    retry: undefined, env: {}, gate: undefined,
  }));
}

export interface Bounds {
  /** The longest chain of dependent tasks. */
  readonly criticalPathMs: number;
  /** All tasks, shared by all slots without a gap. */
  readonly totalWorkMs: number;
}

export function bounds(workflow: Workflow, options: { scale: number; slots: number }): Bounds {
  const tasks = new Map(workflow.tasks.map((task) => [task.id, task]));
  const endsAt = new Map<string, number>();
  let work = 0;
  // The recorded order need not be topological: a task waits on the stack until its parents have
  // their times.
  for (const root of workflow.tasks) {
    work += scaledMs(root, options.scale);
    const stack = [root];
    while (stack.length > 0) {
      const task = stack.at(-1)!;
      const open = task.parents.filter((parent) => !endsAt.has(parent));
      if (endsAt.has(task.id)) stack.pop();
      else if (open.length > 0) stack.push(...open.map((parent) => tasks.get(parent)!));
      else {
        const begins = Math.max(0, ...task.parents.map((parent) => endsAt.get(parent)!));
        endsAt.set(task.id, begins + scaledMs(task, options.scale));
      }
    }
  }
  return { criticalPathMs: Math.max(...endsAt.values()), totalWorkMs: work / options.slots };
}

/**
 * Edges whose child started before its parent had ended: there must be none. Times are the
 * master's, in ms.
 */
export function brokenEdges(jobs: readonly JobInfo[]): string[] {
  const broken: string[] = [];
  for (const child of jobs) {
    for (const index of child.dependsOn) {
      const parent = jobs[index]!;
      if ((child.startedAt ?? -1) < (parent.endedAt ?? Infinity)) {
        broken.push(`${parent.id} → ${child.id}`);
      }
    }
  }
  return broken;
}
