/**
 * Lesson 20: the cluster itself: its master, workers and services, and why jobs wait.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { plural } from "#base";
import {
  current,
  grouped,
  groupJson,
  integer,
  list,
  object,
  shapes,
  text,
  workerJson,
} from "#rows";
import type { JobInfo } from "#sdk";
import { findJob, findRun } from "../names.ts";
import { isRpcError } from "../rpc-error.ts";
import { fields, READS, textOf, words, type Tool } from "./tool.ts";

/** Jobs that are asked about at a time: what the first of them wait for is what all wait for. */
const MAX_ASKED = 100;

export const pingMaster: Tool = {
  name: "ping_master", title: "Is Titan there?", ...READS,
  description: "Says whether the master answers, and which one it is.",
  input: fields({}),
  output: fields({
    status: text, host: text, port: integer, message: text, version: text, workers: integer,
    runs: integer,
  }),
  async run(_args, { titan, master }) {
    const { version, workers, runs } = await titan.info();
    const [, host = "127.0.0.1", port = "9090"] = /^(.*):(\d+)$/.exec(master) ?? [];
    const message =
      `Titan ${version} answers: ${plural(workers, "worker")}, ` + `${plural(runs, "run")}`;
    return {
      text: message,
      data: { status: "ok", host, port: Number(port), message, version, workers, runs },
    };
  },
};

export const listWorkers: Tool = {
  name: "list_workers", title: "List workers", ...READS,
  description: "Lists workers: what each can run (tags), its slots, and how many are taken.",
  input: fields({}),
  output: fields({ workers: list(shapes.worker) }),
  async run(_args, { titan }) {
    const workers = await titan.workers();
    const rows = workers.map(workerJson) as { name: string; state: string; tags: string[] }[];
    const lines = rows.map(({ name, state, tags }, at) => {
      const { running, slots } = workers[at]!;
      return (
        `- ${name} is ${state}: ${running} of ${plural(slots, "slot")} taken, ` +
        `${tags.join(", ")}`
      );
    });
    const head = rows.length === 0 ? "There are no workers: nothing can run. " +
      "Ask the person to start one: titan worker" : plural(rows.length, "worker");
    return { text: [head, ...lines].join("\n"), data: { workers: rows } };
  },
};

export const listServices: Tool = {
  name: "list_services", title: "List services", ...READS,
  description: "Lists services: jobs that are meant to keep running, with their replicas.",
  input: fields({}),
  output: fields({ services: list(shapes.serviceGroup) }),
  async run(_args, { titan, host }) {
    const now = host.clock.wall();
    const groups = current(grouped(await titan.services()));
    const lines = groups.map(({ name, run, state, rows }) =>
      `- ${name} (${run}) is ${state}, ${plural(rows.length, "replica")}`);
    const head = groups.length === 0 ? "There are no services." : plural(groups.length, "service");
    return {
      text: [head, ...lines].join("\n"),
      data: { services: groups.map((group) => groupJson(group, now)) },
    };
  },
};

export const explainPending: Tool = {
  name: "explain_pending",
  title: "Why do jobs wait?",
  ...READS,
  description:
    "Says why jobs of a run do not run yet: parents, no free slot, no capable worker, a " +
    "delay, a person.",
  input: fields({
    run: words("The run's id, or RUN/JOB."),
    "job?": words("Only this job of it."),
  }),
  output: fields({
    run: text,
    waiting: list(object({ job: text, kind: text, reason: text })),
  }),
  async run(args, { titan }) {
    const [typed = "", ...rest] = textOf(args, "run")!.split("/");
    const only = textOf(args, "job") ?? (rest.length > 0 ? rest.join("/") : undefined);
    const run = await findRun(titan, typed);
    if (only !== undefined) await findJob(titan, `${run}/${only}`);
    const { jobs } = await titan.status(run);
    const asked = jobs
      .map((job, at) => ({ job, at }))
      .filter(
        ({ job }) =>
          (job.status === "PENDING" || job.status === "WAITING") &&
          (only === undefined || job.id === only),
      )
      .slice(0, MAX_ASKED);
    const found = await titan
      .reasons(
        run,
        asked.map(({ at }) => at),
      )
      .catch((error: unknown) => {
        if (isRpcError(error, "NOT_FOUND")) return [];
        throw error;
      });
    const waiting = asked.map(({ job, at }) =>
      reasonOf(
        job,
        found.find((it) => it.index === at),
      ),
    );
    const lines = waiting.map(({ job, reason }) => `- ${job}: ${reason}`);
    const head =
      waiting.length === 0
        ? `No such job of ${run} waits.`
        : `${plural(waiting.length, "job")} of ${run} wait:`;
    return { text: [head, ...lines].join("\n"), data: { run, waiting } };
  },
};

function reasonOf(
  { id, status, reason }: JobInfo, found: { kind: string; reason: string } | undefined,
): { job: string; kind: string; reason: string } {
  if (found !== undefined) return { job: id, kind: found.kind, reason: found.reason };
  const isGate = status === "WAITING";
  return { job: id, kind: isGate ? "gate" : "start", reason: reason || "it is about to start" };
}
