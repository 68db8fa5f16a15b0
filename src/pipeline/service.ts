/**
 * Lesson 17: the keys of a service (lesson 14 says what they mean).
 *
 *     - id: web
 *       type: service
 *       run: exec ./server --port $TITAN_PORT
 *       healthcheck: {http: /health, interval: 2s}
 *       restart: {policy: always, delay: 1s, max_delay: 1m}
 *
 * Invariants: keys of services are refused in a job that ends, and keys of jobs that end in a
 * service, each with the key to write instead.
 * Test: test/17-pipelines.services.test.ts
 */
import { resolveScalar, type ScalarNode, type YamlNode } from "#yaml";
import { clip, describe, type Fields } from "./fields.ts";
import {
  DEFAULT_HEALTH, DEFAULT_RESTART, DEFAULT_STOP_GRACE_MS, MAX_BACKOFF, MAX_CHECK_ARGS,
  MAX_CHECKS_IN_A_ROW, MAX_PATH_CHARS, MAX_REPLICAS, MAX_RESTARTS,
} from "./limits.ts";
import type {
  CheckDefinition, HealthDefinition, RestartDefinition, ServiceDefinition,
} from "./types.ts";

export const SERVICE_KEYS = ["port", "healthcheck", "restart", "replicas", "stop_grace"] as const;
export const HEALTH_KEYS = [
  "tcp", "http", "command", "interval", "timeout", "healthy_after", "unhealthy_after",
  "start_period",
] as const;
export const RESTART_KEYS = [
  "policy", "delay", "backoff", "max_delay", "attempts", "window",
] as const;

const POLICIES = ["always", "on-failure", "never"] as const;

/** Keys that make no sense in a service, and why. */
const NOT_FOR_SERVICES = {
  call: "a call is no program that stays: use file, command or run",
  input: "a call is no program that stays: use file, command or run",
  with: "a call is no program that stays: use file, command or run",
  retries: 'a service is started again by its "restart"',
  retry: 'a service is started again by its "restart"',
  timeout: "a service has no end to wait for (its health check has a timeout of its own)",
  hitl_message: "a gate waits for the end of its job, and a service has none",
  max_wait_seconds: "a gate waits for the end of its job, and a service has none",
  hitl: "a gate waits for the end of its job, and a service has none",
} as const;

/** Undefined: the job is no service, or a problem was reported. */
export function readService(fields: Fields, isService: boolean): ServiceDefinition | undefined {
  if (!isService) return refuseKeys(fields);
  for (const [key, why] of Object.entries(NOT_FOR_SERVICES)) {
    if (fields.has(key)) fields.refuse("CONFLICT", key, `is not for services: ${why}`);
  }
  const port = fields.number("port", { min: 1, max: 65_535, whole: true });
  return {
    ...(port !== undefined && { port }),
    health: readHealth(fields),
    restart: readRestart(fields),
    replicas: fields.number("replicas", { min: 1, max: MAX_REPLICAS, whole: true }) ?? 1,
    stopGraceMs: fields.duration("stop_grace") ?? DEFAULT_STOP_GRACE_MS,
  };
}

function refuseKeys(fields: Fields): undefined {
  for (const key of SERVICE_KEYS) {
    if (!fields.has(key)) continue;
    const retries = key === "restart" ? ' (a job that ends has "retries")' : "";
    fields.refuse("CONFLICT", key, `is for services: add "type: service"${retries}`);
  }
}

// ── health ───────────────────────────────────────────────────────────────────────────────────────

function readHealth(fields: Fields): HealthDefinition {
  const node = fields.value("healthcheck");
  const isTcp = node?.kind === "scalar" && node.text === "tcp";
  const own = isTcp ? undefined : fields.map("healthcheck", HEALTH_KEYS, healthHelp);
  if (own === undefined) return DEFAULT_HEALTH;
  const usual = DEFAULT_HEALTH;
  const inARow = { min: 1, max: MAX_CHECKS_IN_A_ROW, whole: true };
  return {
    check: readCheck(own),
    intervalMs: positive(own, "interval") ?? usual.intervalMs,
    timeoutMs: positive(own, "timeout") ?? usual.timeoutMs,
    healthyAfter: own.number("healthy_after", inARow) ?? usual.healthyAfter,
    unhealthyAfter: own.number("unhealthy_after", inARow) ?? usual.unhealthyAfter,
    startPeriodMs: own.duration("start_period") ?? usual.startPeriodMs,
  };
}

/** A word where a map was wanted: the map that it may stand for. */
function healthHelp(node: YamlNode): string {
  const text = node.kind === "scalar" ? node.text : "";
  if (text.startsWith("/")) return `: write {http: ${text}}`;
  return ': write "tcp", {http: /path} or {command: […]}';
}

function readCheck(fields: Fields): CheckDefinition {
  const [first, second] = (["tcp", "http", "command"] as const).filter((key) => fields.has(key));
  if (second !== undefined) {
    fields.refuse("CONFLICT", second, `is one check too many: "${first}" is there`);
  }
  if (first === "http") return { type: "http", path: readPath(fields) };
  if (first === "command") return { type: "command", argv: readCommand(fields) };
  const node = first === "tcp" ? (fields.value("tcp") as YamlNode) : undefined;
  if (node !== undefined && !isBare(node)) {
    const what = "takes no value: the port is the service's own";
    fields.refuse("BAD_VALUE", "tcp", `${what}, found ${describe(node)}`, node);
  }
  return { type: "tcp" };
}

/** `tcp:` and `tcp: true`. */
function isBare(node: YamlNode): boolean {
  if (node.kind !== "scalar") return false;
  const { type } = resolveScalar(node);
  return type === "null" || (type === "boolean" && node.text === "true");
}

function readPath(fields: Fields): string {
  const path = fields.text("http", { maxBytes: MAX_PATH_CHARS });
  if (path === undefined || /^\/[!-~]*$/.test(path)) return path ?? "/";
  const node = fields.value("http") as ScalarNode;
  const inUrl = /^https?:\/\/[^/]*(\/[!-~]*)?$/.exec(path);
  const help = inUrl === null ? "" : `: write ${inUrl[1] ?? "/"}`;
  const rule = "must be a path that begins with / and has no blanks";
  fields.refuse("BAD_VALUE", "http", `${rule}, found "${clip(path)}"${help}`, node);
  return "/";
}

function readCommand(fields: Fields): string[] {
  const words = fields.texts("command", { max: MAX_CHECK_ARGS, empty: true });
  if (words?.length !== 0) return words?.map(({ text }) => text) ?? [];
  fields.refuse("EMPTY", "command", "names no program");
  return [];
}

/** A duration that must not be 0. */
function positive(fields: Fields, key: string): number | undefined {
  const ms = fields.duration(key);
  if (ms !== 0) return ms;
  return fields.refuse("OUT_OF_RANGE", key, "must be more than 0", fields.value(key) as YamlNode);
}

// ── restart ──────────────────────────────────────────────────────────────────────────────────────

function readRestart(fields: Fields): RestartDefinition {
  const node = fields.value("restart");
  if (node?.kind === "scalar") return { ...DEFAULT_RESTART, policy: readPolicy(fields, "restart") };
  const own = fields.map("restart", RESTART_KEYS);
  if (own === undefined) return DEFAULT_RESTART;
  const usual = DEFAULT_RESTART;
  const delayMs = own.duration("delay") ?? usual.delayMs;
  const maxDelayMs = own.duration("max_delay");
  if (maxDelayMs !== undefined && maxDelayMs < delayMs) {
    const at = own.value("max_delay") as YamlNode;
    own.refuse("OUT_OF_RANGE", "max_delay", "is shorter than the first delay", at);
  }
  if (own.has("window") && !own.has("attempts")) {
    own.refuse("CONFLICT", "window", 'has no "attempts" to count');
  }
  return {
    policy: readPolicy(own, "policy"),
    delayMs,
    backoff: own.number("backoff", { min: 1, max: MAX_BACKOFF, whole: false }) ?? usual.backoff,
    // The author means a delay beyond the default cap, so the cap gives way.
    maxDelayMs: maxDelayMs ?? Math.max(usual.maxDelayMs, delayMs),
    attempts: own.number("attempts", { min: 1, max: MAX_RESTARTS, whole: true }) ?? usual.attempts,
    windowMs: positive(own, "window") ?? usual.windowMs,
  };
}

function readPolicy(fields: Fields, key: string): RestartDefinition["policy"] {
  const node = fields.value(key);
  const text = node?.kind === "scalar" ? node.text : "";
  const meant = MEANT.find(([pattern]) => pattern.test(text))?.[1];
  const help = meant === undefined ? "" : fields.report.foreign(`: write ${key}: ${meant}`);
  return fields.oneOf(key, POLICIES, help) ?? "always";
}

/** The words of compose, systemd and Kubernetes. */
const MEANT = [
  [/^(?:unless-stopped|true|yes|on|any)$/i, "always"],
  [/^(?:on_failure|onfailure|on-abnormal|on-abort|failure)$/i, "on-failure"],
  [/^(?:no|false|none|off)$/i, "never"],
  [/^always$/i, "always"],
  [/^never$/i, "never"],
] as const;
