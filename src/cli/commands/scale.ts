/**
 * `titan scale` and `titan rollback`: more or fewer replicas of a service, and the version before.
 *
 * Test: test/14-services.updates.test.ts
 */
import type { Client } from "#sdk";
import { MAX_REPLICAS, type RolledBack } from "#wire";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT, isRpcError, UsageError } from "../exit.ts";
import { asked } from "../named-service.ts";
import { plural } from "../text.ts";
import { untilReady } from "../until-ready.ts";
import { DEFAULT_WAIT_MS } from "./deploy.ts";

export const scale: Command = {
  name: "scale",
  summary: "change how many replicas a service has, and wait until new ones are ready",
  usage: "SERVICE|RUN/JOB N",
  args: [2, 2],
  flags: {
    detach: { type: "boolean", short: "d", summary: "do not wait until new ones are ready" },
    timeout: {
      type: "string", value: "TIME",
      summary: "wait no longer than this (default 2m): exit 124, and they go on",
    },
  },
  notes: [
    "Of too many the newest ones go: no new connection is sent to them, and they are stopped " +
      "when those that titan forward has opened have ended, after the stop_grace at the latest. " +
      "A job that depends on the service has not waited for replicas that come later.",
    "Exit codes: 0 ready · 3 a new one failed · 124 not ready in time (it goes on).",
  ],
  examples: ["titan scale web 3", "titan scale shop-7k2m/web 1"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const timeoutMs = (await call.durationMs("timeout")) ?? DEFAULT_WAIT_MS;
    const [name = "", number = ""] = call.args;
    const replicas = replicasOf(number);
    const client = await openClient(call);
    const by = context.person;
    const scaled = await asked(client, name, (meant) => client.scale(meant, replicas, { by }));
    const { run, service, before, added } = scaled;
    const change = before === replicas
      ? `has ${plural(replicas, "replica")} already`
      : `has ${plural(replicas, "replica")} instead of ${before}`;
    if (added.length > 0 && !call.on("detach")) {
      if (!call.json) context.note(`titan: ${service} ${change}`);
      return untilReady(call, { client, run, name: service, timeoutMs, jobs: added });
    }
    if (call.json) context.json(scaled);
    else context.out(`${service} ${change}`);
    return EXIT.OK;
  },
};

function replicasOf(text: string): number {
  const replicas = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (replicas >= 1 && replicas <= MAX_REPLICAS) return replicas;
  const advice = replicas === 0 ? "titan stop ends a service" : undefined;
  throw new UsageError(`Cannot scale to ${text}: must be 1 to ${MAX_REPLICAS} replicas`, advice);
}

export const rollback: Command = {
  name: "rollback",
  summary: "deploy the version of a service again that was there before",
  usage: "SERVICE",
  args: [1, 1],
  flags: {
    detach: { type: "boolean", short: "d", summary: "do not wait until it is ready" },
    timeout: {
      type: "string", value: "TIME",
      summary: "how long it may take to be ready (default 2m); after it the present one stays",
    },
  },
  notes: [
    "The last version before the present one that was ready is deployed as a new one, by an " +
      "update as with titan deploy. So a second rollback undoes the first.",
    "Exit codes: 0 ready · 3 it failed or was not ready in time, and the present one goes on.",
  ],
  examples: ["titan rollback web"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const updateMs = (await call.durationMs("timeout")) ?? DEFAULT_WAIT_MS;
    const name = call.args[0]!;
    const { client, begun } = await rollBack(call, { name, updateMs });
    const { run, replaces, like } = begun;
    if (!call.json && like !== "") context.note(`titan: ${run} is as ${like} was`);
    if (call.on("detach")) {
      if (call.json) context.json({ name, ...begun });
      else context.out(run);
      return EXIT.OK;
    }
    const until = replaces === "" ? { timeoutMs: updateMs } : { replaces };
    return untilReady(call, { client, run, name, ...until });
  },
};

/**
 * The connection may break when the master has begun it and before its answer is here. So the wish
 * has a key, and is repeated once: with the same key it is no second rollback.
 */
async function rollBack(
  call: Call, { name, updateMs }: { name: string; updateMs: number },
): Promise<{ client: Client; begun: RolledBack }> {
  const { host, person: by } = call.context;
  const key = `rollback-${Buffer.from(host.random.bytes(KEY_BYTES)).toString("hex")}`;
  for (let again = false; ; again = true) {
    const client = await openClient(call);
    try {
      const wish = { by, updateMs, key };
      return { client, begun: await asked(client, name, (meant) => client.rollback(meant, wish)) };
    } catch (error) {
      if (again || !isRpcError(error, "CLOSED")) throw error;
      client.close();
    }
  }
}

/** Nobody draws the same ones twice. */
const KEY_BYTES = 12;
