/**
 * Lesson 10: how much memory a log needs, found out without having it.
 *
 * A log may come from a larger machine, or from a version that counted otherwise. Replaying it
 * would end in the middle, at the heap's limit, with a message that helps nobody. So a replay that
 * has become too large is dropped, and the log is read once more for the sums alone.
 *
 * Invariants: holds a number per run, whatever the runs hold.
 * Test: test/10-master.memory.test.ts
 */
import { MAX_GROUP_BYTES } from "#wire";
import {
  AGENT_BYTES, artifactMemory, askMemory, bufferMemory, edgesMemory, FIELD_BYTES, groupMemory,
  jobsMemory, runMemory, spawnMemory, STEP_BYTES, textMemory,
} from "./memory.ts";
import type { Event } from "./events.ts";

/** Of an agent run, as long as the id of a run may be. */
const LONGEST_NAME = "x".repeat(MAX_GROUP_BYTES);

export class Forecast {
  /** The most that the state takes at any moment, in bytes as `memory.ts` counts them. */
  peak = 0;
  #bytes = 0;
  readonly #runs = new Map<number, number>();
  readonly #agents = new Set<number>();

  /** Of a run that a snapshot holds. */
  add(run: number, bytes: number): void {
    this.#runs.set(run, (this.#runs.get(run) ?? 0) + bytes);
    this.#bytes += bytes;
    this.peak = Math.max(this.peak, this.#bytes);
  }

  /** The run is an agent run, if it was none before. */
  #agent(run: number): void {
    if (this.#agents.has(run)) return;
    this.#agents.add(run);
    this.add(run, groupMemory(LONGEST_NAME));
  }

  /**
   * The next event. All that attempts leave is counted, and a retry takes nothing of it back.
   */
  event(event: Event): void {
    switch (event.type) {
      case "RunSubmitted":
      case "UpdateSubmitted":
        return this.add(event.run, runMemory(event.key, event.spec) + jobsMemory(event.spec.jobs));
      case "JobsAdded":
      case "ServiceScaled": return this.add(event.run, jobsMemory(event.jobs));
      case "JobsInserted":
        return this.add(event.run, jobsMemory(event.jobs) + edgesMemory(event.edges.length));
      case "RunForked": {
        // Its prefix is at most all that the other run has.
        const prefix = this.#runs.get(event.from) ?? 0;
        const jobs = jobsMemory(event.spec.jobs);
        return this.add(event.run, runMemory(event.key, event.spec) + jobs + prefix);
      }
      case "StepStarted":
        this.#agent(event.run);
        return this.add(event.run, STEP_BYTES + 2 * textMemory(event.name) + FIELD_BYTES);
      case "StepDone": return this.add(event.run, bufferMemory(event.result));
      case "JobsSpawned": {
        const { jobs, edges, key, stage } = event;
        const own = AGENT_BYTES + spawnMemory(key, stage);
        return this.add(event.run, own + jobsMemory(jobs) + edgesMemory(edges.length));
      }
      case "AskOpened":
        return this.add(event.run, AGENT_BYTES + askMemory(event.key, event.gate));
      case "JobSucceeded": return this.add(event.run, bufferMemory(event.result));
      case "ArtifactPut":
        return event.run === undefined ? undefined : this.add(event.run, artifactMemory(event));
      case "RunsForgotten":
      case "RunsLetGo": {
        for (const run of event.runs) {
          this.#bytes -= this.#runs.get(run) ?? 0;
          this.#runs.delete(run);
          this.#agents.delete(run);
        }
      }
    }
  }
}
