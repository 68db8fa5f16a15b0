/**
 * Lesson 22: services at random: slow and quick ones, some that crash, hang or share a port, and
 * jobs that depend on them.
 *
 * Test: test/22-simulation.services.test.ts
 */
import type { JobPlan, PipelinePlan, Step } from "./plan.ts";
import type { Prng } from "./prng.ts";

/** One pipeline of services, and what people do with it. */
export function generateServices(
  prng: Prng, room: { readonly clients: number; readonly safetyMs: number },
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const run = "serving";
  const services = Array.from({ length: prng.int(1, 2) }, (_, index) => service(prng, index));
  const jobs: JobPlan[] = [...services];
  if (prng.chance(0.6)) jobs.push({ id: "child", does: "ms=20", dependsOn: [0] });
  const client = (): number => prng.int(1, room.clients);
  const at = prng.int(1, 1000);
  const steps: Step[] = [{ at, client: client(), do: "submit", run }];
  const later = (): number => prng.int(at, room.safetyMs);
  if (prng.chance(0.5)) steps.push({ at: later(), client: client(), do: "restart", run });
  if (prng.chance(0.2)) steps.push({ at: later(), client: client(), do: "stop", run });
  if (prng.chance(0.1)) steps.push({ at: later(), client: client(), do: "cancel", run });
  if (prng.chance(0.5)) steps.push({ at: later(), client: client(), do: "watch", run });
  if (prng.chance(0.3)) steps.push({ at: later(), client: client(), do: "retry", run });
  if (prng.chance(0.3)) steps.push({ at: later(), client: client(), do: "snapshot" });
  return { pipelines: [{ key: run, jobs }], steps };
}

/** Versions of one service by one name, and how people change it. */
export function generateVersions(
  prng: Prng, room: { readonly clients: number; readonly safetyMs: number },
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const service = "web";
  const pipelines = Array.from({ length: prng.int(2, 4) }, (_, index): PipelinePlan => {
    // The first one works; a later one may be one that never will, or that is late.
    const does = index > 0 && prng.chance(0.4)
      ? prng.pick([`ms=${prng.int(50, 900)} exit=3`, `listen=${prng.int(1000, 2000)} forever`])
      : `listen=${prng.ms(1, 800)} forever${prng.chance(0.3) ? " ignore-term" : ""}`;
    const policy = does.includes("exit") ? "never" : "always";
    const jobs = Array.from({ length: prng.int(1, 2) }, (_, at): JobPlan => ({
      id: at === 0 ? "s" : `s.${at + 1}`, does,
      service: { policy, attempts: 0, deployed: service },
    }));
    return { key: `version-${index + 1}`, jobs };
  });
  const client = (): number => prng.int(1, room.clients);
  const updateMs = (): number => prng.int(800, 4000);
  const first = prng.int(1, 600);
  const later = (): number => prng.int(first + 500, room.safetyMs);
  const steps: Step[] = pipelines.map(({ key: run }, index) =>
    ({
      at: index === 0 ? first : later(), client: client(), do: "deploy", run, updateMs: updateMs(),
    }));
  for (let count = prng.int(0, 2); count > 0; count--) {
    steps.push({ at: later(), client: client(), do: "rollback", service, updateMs: updateMs() });
  }
  for (let count = prng.int(0, 3); count > 0; count--) {
    steps.push({ at: later(), client: client(), do: "scale", service, replicas: prng.int(1, 3) });
  }
  const run = prng.pick(pipelines).key;
  if (prng.chance(0.2)) steps.push({ at: later(), client: client(), do: "restart", run });
  if (prng.chance(0.1)) steps.push({ at: later(), client: client(), do: "stop", run });
  if (prng.chance(0.1)) steps.push({ at: later(), client: client(), do: "cancel", run });
  if (prng.chance(0.2)) steps.push({ at: later(), client: client(), do: "retry", run, from: "s" });
  if (prng.chance(0.15)) steps.push({ at: later(), client: client(), do: "stop-name", service });
  if (prng.chance(0.4)) steps.push({ at: later(), client: client(), do: "snapshot" });
  return { pipelines, steps };
}

function service(prng: Prng, index: number): JobPlan {
  const words = [`listen=${prng.ms(1, 800)}`];
  // It ends by itself after a while, well or badly, or it goes on. Once faults are over it must be
  // READY at some moment, so it lives long enough for that.
  if (prng.chance(0.4)) words.push(`ms=${prng.int(2000, 6000)}`, prng.pick(["exit=0", "exit=3"]));
  else words.push("forever");
  if (prng.chance(0.3)) words.push(`hang=${prng.int(2000, 5000)}`);
  if (prng.chance(0.3)) words.push("ignore-term");
  return {
    id: `s${index}`,
    does: words.join(" "),
    service: {
      policy: prng.chance(0.8) ? "always" : prng.pick(["on-failure", "never"]),
      attempts: prng.chance(0.1) ? 3 : 0,
      ...(prng.chance(0.2) && { port: 8080 }),
    },
  };
}
