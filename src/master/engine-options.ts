/**
 * Lesson 10: what an engine needs of the master around it.
 *
 * Test: test/10-master.test.ts
 */
import type { ArtifactLimits, Context, Effect, Event, MemoryLimits, Observer } from "#core";
import type { Host } from "#host";
import type { Log } from "#log";
import type { AttemptKey } from "#wire";

export interface EngineOptions {
  readonly host: Host;
  readonly log: Log;
  /** What the state may take. */
  readonly memory: MemoryLimits;
  /** What artifacts may take. Default: as the core has it. */
  readonly artifacts?: ArtifactLimits | undefined;
  readonly observer: Observer;
  /** Is told of each event when it is made: those who follow the log. Default: nobody does. */
  readonly witness?: Witness | undefined;
  /** How many forwarded connections an attempt has. Default: none. Fewer: call `look`. */
  readonly connections?: (attempt: AttemptKey) => number;
  /** Why people are not told of a gate in this way. Default: they are. */
  readonly mayNotify?: Context["mayNotify"] | undefined;
  /** Until when workers may come back that the log knows (ms since 1970). Default: none may. */
  readonly returnsUntil?: () => number;
  /** Carries an effect out. Its events are durable by then. */
  readonly perform: (effect: Effect) => void;
  /** Runs after each group of effects, to send what they have collected. */
  readonly onReleased: () => void;
  /** Memory and log may differ from here on: the process has to end. Calls `halt`. */
  readonly onFatal: (error: Error) => void;
}

/** Sees events before they are applied, and after; `first` is the number of the first of them. */
interface Witness {
  before(events: readonly Event[]): void;
  after(first: number, events: readonly Event[]): void;
}
