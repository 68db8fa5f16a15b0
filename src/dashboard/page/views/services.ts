/**
 * Lesson 19: Services: what is meant to keep running, where it does, and how well.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import { badge } from "../parts/badge.ts";
import { deployButton, deployDialog } from "../parts/deploy.ts";
import {
  command, button, empty, loading, page, pageWith, problem, namedRow,
} from "../parts/page.ts";
import { ago } from "../parts/time.ts";
import { pathTo } from "../router.ts";
import type { Replica, Service } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

const SERVICES = "services";
const REPLICA_HEADS = [
  "Replica", "State", "Worker", "Address", "Process", "Restarts", "Since", "Output",
];
/** Starts of a replica whose outputs are a click away; the page of the run has the others. */
const MAX_OUTPUTS = 4;

export const services: View = {
  name: "Services",
  title: ({ params }) => params["service"] ?? "Services",
  needs: () => [{ type: "get", path: SERVICES, everyMs: 1_000 }],
  render(state, context) {
    const found = answerOf<Service[]>(state, SERVICES);
    const name = context.params["service"];
    const heading = name ?? "Services";
    if (found === undefined) return page(heading, loading(state, SERVICES));
    if (name !== undefined) return oneService(name, { found, state, context });
    const [beside, window] = [deployButton(state, context), deployDialog(state, context)];
    if (found.length === 0) {
      return pageWith({ heading, beside }, window, empty("No service runs here.", "Deploy one: ",
        command("titan deploy --name web --port 8080 -- node server.js")));
    }
    const shown = found.filter(isWorthALook);
    const old = found.length - shown.length;
    return pageWith({ heading, beside }, window,
      h("ul", { class: "services" }, shown.map((service) => serviceCard(service, state, context))),
      old === 0 ? null : h("p", { class: "soft services-old" },
        `${old} more ${old === 1 ? "has" : "have"} ended: `, command("titan services --all")));
  },
};

/** Current ones, and those that go on although another has their name. */
function isWorthALook({ current, state }: Service): boolean {
  return current || !["STOPPED", "FAILED"].includes(state);
}

interface Found {
  readonly found: readonly Service[];
  readonly state: State;
  readonly context: Context;
}

function oneService(name: string, { found, state, context }: Found): VNode {
  const own = found.filter((service) => service.name === name);
  const below = h("a", { href: "/services" }, "All services");
  if (own.length === 0) {
    return pageWith({ heading: name, below }, problem(`There is no service "${name}".`));
  }
  return pageWith({ heading: name, below },
    h("ul", { class: "services" }, own.map((service) => serviceCard(service, state, context))));
}

function serviceCard(service: Service, state: State, context: Context): VNode {
  const { name, run, replicas, version, current, deployed } = service;
  const label = version === undefined ? "" : ` version ${version}`;
  return h("li", { key: `${run}/${name}`, class: "card service" },
    h("header", { class: "service-head" },
      h("h2", null, h("a", { href: pathTo(["services", name]) }, name)),
      badge(service.state),
      deployed ? h("span", { class: "soft" }, `${label}${current ? "" : ", replaced"}`) : null,
      h("span", { class: "soft" }, "run ", h("a", { href: pathTo(["runs", run]) }, run))),
    table(service, state),
    problems(replicas),
    buttons(service, state, context));
}

function table({ name, run, replicas }: Service, { now }: State): VNode {
  const region = { role: "region", "aria-label": `replicas of ${name}` };
  return h("div", { class: "scrolls", tabindex: 0, ...region },
    h("table", { class: "table" },
      h("thead", null, h("tr", null,
        REPLICA_HEADS.map((head) => h("th", {
          scope: "col", key: head, class: head === "Restarts" ? "number" : undefined,
        }, head)))),
      h("tbody", null, replicas.map((replica) => {
        const { job, worker, host, port, pid, restarts, uptimeMs, since, attempt } = replica;
        return namedRow(REPLICA_HEADS, { key: job },
          h("th", { scope: "row" },
            h("a", { href: pathTo(["runs", run], { job, tab: "log" }) }, job)),
          h("td", null, badge(replica.state)),
          h("td", null, worker ?? "none"),
          h("td", { class: "mono" }, port === null ? "none" : `${host ?? ""}:${port}`),
          h("td", { class: "mono" }, pid === null ? "none" : String(pid)),
          h("td", { class: "number" }, String(restarts)),
          h("td", null, uptimeMs !== null ? ago(now - uptimeMs, now)
            : since === null ? "" : ago(since, now)),
          h("td", null, attempt === 0 ? "" : outputs(run, replica)));
      }))));
}

/** Each start of a replica is an attempt with an output of its own; the latest first. */
function outputs(run: string, { job, attempt }: Replica): Child {
  const first = Math.max(1, attempt - MAX_OUTPUTS + 1);
  const all = Array.from({ length: attempt - first + 1 }, (_, at) => attempt - at);
  return h("span", { class: "actions" }, all.map((number) => h("a", {
    key: number, "aria-label": `Output of ${job}, start ${number}`,
    href: pathTo(["runs", run], { job, tab: "log", attempt: String(number) }),
  }, `#${number}`)));
}

/** What is the matter with those that are not well, in words. */
function problems(replicas: readonly Replica[]): Child {
  const told = replicas.flatMap(({ job, state, reason, lastFailure }) => {
    const ended = state === "READY" ? "" : lastFailure?.message ?? "";
    const why = reason === "" || ended === "" || reason.includes(ended) ? reason || ended
      : `${reason}. The last start: ${ended}`;
    return why === "" ? [] : [h("li", { key: job }, h("strong", null, job), `: ${why}`)];
  });
  return told.length === 0 ? null : h("ul", { class: "service-problems" }, told);
}

function buttons(service: Service, state: State, context: Context): VNode {
  const { name, run, deployed, replicas } = service;
  const target = encodeURIComponent(deployed ? name : `${run}/${service.job}`);
  const change = (verb: string, body: object, done: string) => (): void =>
    void context.act(async () => {
      await context.api.post(`services/${target}/${verb}`, body);
      context.refresh();
    }, done);
  const isOver = ["STOPPED", "FAILED"].includes(service.state);
  const asks = state.ui[`stop ${run}/${name}`] === true;
  const ask = (value: boolean) => (): void =>
    context.dispatch({ type: "ui", key: `stop ${run}/${name}`, value });
  return h("div", { class: "service-buttons" },
    button("Restart", change("restart", {}, `${name} is restarted`), {
      label: `Restart ${name}`, disabled: isOver,
    }),
    deployed ? scaler(service, change) : null,
    deployed ? button("Roll back", change("rollback", {}, `The version before is deployed again`), {
      // There is none before the first one.
      label: `Roll back ${name}`, disabled: service.version === 1,
    }) : null,
    asks
      ? [
        button(`Stop ${name} for good`, change("stop", {}, `${name} is stopped`), {
          kind: "danger", key: "sure",
        }),
        button("Not now", ask(false), { key: "not" }),
      ]
      : button("Stop…", ask(true), { kind: "danger", label: `Stop ${name}…`, disabled: isOver }),
    h("span", { class: "soft" },
      replicas.length === 1 ? "1 replica" : `${replicas.length} replicas`));
}

type Change = (verb: string, body: object, done: string) => () => void;

function scaler({ name, replicas }: Service, change: Change): VNode {
  const to = (count: number): (() => void) =>
    change("scale", { replicas: count }, `${name} is scaled to ${count}`);
  const count = replicas.length;
  return h("span", { class: "buttons-joined" },
    button("−", to(count - 1), { label: `One replica less of ${name}`, disabled: count <= 1 }),
    button("+", to(count + 1), { label: `One replica more of ${name}` }));
}
