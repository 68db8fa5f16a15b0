/**
 * `titan services`, `titan stop`, `titan restart`: what keeps running, and how it ends.
 *
 * Test: test/14-services.cli.test.ts
 */
import { current, grouped, groupJson, wordOf, type ServiceGroup } from "#rows";
import type { RunCalls } from "#calls";
import type { ServiceRow, ServicesMeant } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { pause } from "../follow.ts";
import { asked } from "../named-service.ts";
import { addressOf, phaseColor } from "../service-view.ts";
import { clip, durationText, oneLine, plural, table } from "../text.ts";

const MAX_WHY_CELLS = 80;
/** Between two looks at a service that is ending. */
const LOOK_MS = 100;

export const services: Command = {
  name: "services",
  summary: "list services and their replicas: where they are, and how they are",
  usage: "",
  args: [0, 0],
  flags: {
    all: { type: "boolean", summary: "also those that were stopped" },
  },
  notes: [
    "STATE: STARTING (its check has not passed yet), READY, UNHEALTHY (its check fails), " +
      "RESTARTING (it ended, and starts again after a delay), FAILED (it is not started any " +
      "more), PENDING (no worker has taken it yet).",
    "While a service is updated its other versions are listed below it, by their runs.",
    "A job finds a service that is READY in TITAN_SERVICE_<NAME>, as HOST:PORT.",
  ],
  examples: ["titan services", "titan services --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const all = grouped(await (await openMaster(call)).services());
    const shown = call.on("all") ? all : current(all);
    const now = Date.now();
    if (call.json) {
      context.json(shown.map((group) => groupJson(group, now)));
      return EXIT.OK;
    }
    if (shown.length === 0) {
      context.note("titan: there are no services; titan deploy starts one");
      return EXIT.OK;
    }
    const rows = shown.flatMap((group) => group.rows.map((row) => lineOf(call, row, now)));
    const head = ["SERVICE", "STATE", "ADDRESS", "WORKER", "PID", "RESTARTS", "UP", "WHY"];
    context.out(table(head, rows, context.columns));
    return EXIT.OK;
  },
};

function lineOf({ context }: Call, row: ServiceRow, now: number): string[] {
  const { service, worker, lastFailure, startedAt } = row;
  const word = wordOf(row);
  const runs = row.status === "RUNNING" && startedAt !== undefined;
  const told = word === "READY" || word === "STOPPED" ? undefined : lastFailure;
  const why = row.reason || (told?.message ?? "");
  return [
    row.deployed && row.current ? row.job : `${row.run}/${row.job}`,
    context.paint(phaseColor(word), word),
    addressOf(service),
    runs ? worker : "",
    service?.pid ? String(service.pid) : "",
    String(service?.restarts ?? 0),
    runs ? durationText(now - startedAt) : "",
    clip(oneLine(why), MAX_WHY_CELLS),
  ];
}

export const stop: Command = {
  name: "stop",
  summary: "stop a service, or all services of a run, for good",
  usage: "SERVICE|RUN[/JOB]",
  args: [1, 1],
  flags: {
    detach: { type: "boolean", summary: "do not wait until its processes are gone" },
  },
  notes: [
    "Its processes get SIGTERM, and SIGKILL after its stop_grace (5 s). A run of which only " +
      "services were left is COMPLETED then: stopping is how a service ends. titan cancel ends a " +
      "run as CANCELLED.",
    "In the middle of an update the name of a service means both versions: the new one is " +
      "CANCELLED. With the new one's run only the update is called off. Of a service that has " +
      "failed, the version before it is kept for a rollback until it is stopped by its name.",
  ],
  examples: ["titan stop web", "titan stop shop-7k2m", "titan stop shop-7k2m/web"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const client = await openMaster(call);
    const by = context.person;
    const meant = await asked(client, call.args[0]!, (name) => client.stop(name, { by }));
    if (!call.on("detach")) await untilOver(client, meant);
    const { calledOff, letGo, replicas, services: [service = ""] } = meant;
    if (call.json) {
      context.json({ ...meant, stopped: !call.on("detach") });
      return EXIT.OK;
    }
    if (calledOff !== undefined) {
      context.note(`titan: the update of ${service} to ${calledOff} is called off`);
    }
    if (letGo === true) {
      context.note(`titan: ${service} had failed; no version of it is kept for a rollback now`);
    }
    if (replicas === 0) context.out(`${service} is over`);
    else context.out(`${said(meant)} ${call.on("detach") ? "is stopping" : "stopped"}`);
    return EXIT.OK;
  },
};

export const restart: Command = {
  name: "restart",
  summary: "end the processes of a service, and start it anew at once",
  usage: "SERVICE|RUN[/JOB]",
  args: [1, 1],
  flags: {},
  notes: [
    "All its replicas restart together, without the delay of a crash, and such a restart does " +
      "not count as one.",
  ],
  examples: ["titan restart web"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const client = await openMaster(call);
    const by = context.person;
    const meant = await asked(client, call.args[0]!, (name) => client.restart(name, { by }));
    if (call.json) context.json(meant);
    else context.out(`${said(meant)} restarts`);
    return EXIT.OK;
  },
};

/** `web (2 replicas)` */
function said({ services: names, replicas }: ServicesMeant): string {
  const more = replicas > names.length ? ` (${plural(replicas, "replica")})` : "";
  return `${names.join(", ")}${more}`;
}

/** Until none of the replicas goes on. They end by themselves, so Ctrl-C only ends the waiting. */
async function untilOver(client: RunCalls, meant: ServicesMeant): Promise<void> {
  const goesOn = ({ run, name, state, current: isCurrent }: ServiceGroup): boolean =>
    (run === meant.run || !isCurrent) && meant.services.includes(name) &&
    state !== "STOPPED" && state !== "FAILED";
  while (grouped(await client.services()).some(goesOn)) await pause(LOOK_MS, undefined);
}
