/**
 * Lesson 14: requests about services, and their replicas as rows.
 *
 * Test: test/14-services.test.ts
 */
import {
  bool, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { MAX_ROWS, name, sentence } from "./fields.ts";
import { Failure } from "./messages.ts";
import { JobStatus } from "./rows.ts";
import { MAX_SERVICES, ServiceInfo } from "./service.ts";

/** `name`: a service, RUN, or RUN/JOB. */
export const ServiceRef = message("ServiceRef", {
  name: [1, string(512)],
  /** The person who asks. */
  by: [2, withDefault(name, "")],
});
/**
 * The services that were meant, and the number of their replicas. After a stop: the run whose
 * update it has called off; and whether the service had failed, and its name is let go.
 */
export const ServicesMeant = message("ServicesMeant", {
  run: [1, name], services: [2, list(string(128), MAX_SERVICES)], replicas: [3, u32()],
  calledOff: [4, optional(name)], letGo: [5, optional(bool())],
});
export type ServicesMeant = Infer<typeof ServicesMeant>;

/** One replica. */
export const ServiceRow = message("ServiceRow", {
  name: [1, string(128)],
  run: [2, name],
  job: [3, string(128)],
  deployed: [4, bool()],
  status: [5, JobStatus],
  worker: [6, withDefault(name, "")],
  attempt: [7, withDefault(u32(), 0)],
  /** Absent: it has never started. */
  service: [8, optional(ServiceInfo)],
  /** Why it waits. */
  reason: [9, withDefault(sentence, "")],
  lastFailure: [10, optional(Failure)],
  startedAt: [11, optional(u53())],
  /** Of a deployed one: which version it is, from 1, and whether its name leads here. */
  version: [40, withDefault(u32(), 0)],
  current: [41, withDefault(bool(), true)],
  /** It is to end for good: stopped, or drained for another one. */
  leaving: [42, withDefault(bool(), false)],
});
export type ServiceRow = Infer<typeof ServiceRow>;
/** SERVICES answers with a stream of pages. */
export const ServicePage = message("ServicePage", { rows: [1, list(ServiceRow, MAX_ROWS)] });
