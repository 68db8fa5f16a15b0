/**
 * Lesson 14: what keeps a service running, as arithmetic: no socket, no process, no clock.
 *
 *     phase.ts       STARTING → READY ⇄ UNHEALTHY → RESTARTING → …, and which steps there are
 *     restart.ts     an attempt has ended: start again, and when; or give up, and why
 *     health.ts      results of checks in, changes of health out; when to check next
 *     ports.ts       which port an attempt gets, and when it is free again
 *     http.ts        one question and the first line of the answer, for the http check
 *
 * The master decides with `nextPhase` and `restartDecision`, and keeps what follows as events. A
 * worker counts with `HealthCounter` and keeps a `PortBook`. So the same rules can be tested
 * without either.
 *
 * Invariants: a phase changes along the table and no other way; every decision to give up has a
 * reason in words; a port has one holder.
 * Left out: versions and numbers of replicas, which are decisions about runs (core/versions.ts).
 * Test: test/14-services.test.ts
 */
export { HealthCounter, type HealthRules, type HealthNews } from "./health.ts";
export { checkRequest, StatusLine } from "./http.ts";
export { nextPhase, type PhaseNews } from "./phase.ts";
export { DEFAULT_PORTS, PortBook, type PortRange } from "./ports.ts";
export {
  FORGIVEN_AFTER_MS, restartDecision, type Ending, type RestartDecision,
} from "./restart.ts";
