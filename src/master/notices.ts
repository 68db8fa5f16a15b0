/**
 * Lesson 16: who tells people that a gate is open: what is due is handed to a messenger, a few at a
 * time, and what became of it goes into the log.
 *
 *     effect Announce ─┐
 *     the start ───────┴─▶ when it is due ─▶ messenger ─▶ NoticeTried ─▶ when it is due again…
 *
 * Invariants: nothing is sent before the gate is durable; a message is with the messenger once at a
 * time, and MAX_AT_ONCE of them are; nobody waits here for a server that does not answer.
 * Left out: one message for a hundred gates that open at once.
 * Test: test/16-gates.notify.test.ts
 */
import { askInfo, dueNotice, dueNotices, gateInfo, type NoticeRef } from "#core";
import type { Host, Timer } from "#host";
import { TimerHeap } from "#queue";
import type { GateInfo, Notify } from "#wire";
import type { Engine } from "./engine.ts";

/** Programs and requests under way: a server that hangs must not stop all the others. */
const MAX_AT_ONCE = 8;
/** The wall clock may jump: no timer is longer than this. */
const LONGEST_SLEEP_MS = 60_000;

/** What people are told. */
export interface GateMessage {
  readonly gate: GateInfo;
  readonly run: string;
  readonly job: string;
  /** How often it was tried before. */
  readonly tries: number;
}

/** Somebody who can run programs, and call addresses of the web. */
export interface Messenger {
  /** Why it does not do this, in words. Undefined: it does. */
  refusal(notify: Notify): string | undefined;
  /** Resolves within a time, with a reason if people were not told. Never rejects. */
  send(notify: Notify, message: GateMessage): Promise<string | undefined>;
}

export interface NoticesOptions {
  readonly host: Pick<Host, "clock" | "timers">;
  readonly messenger: Messenger | undefined;
  engine(): Engine;
}

export class Notices {
  readonly #options: NoticesOptions;
  readonly #waiting = new TimerHeap<NoticeRef>();
  #sending = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  /** Takes up what the log says is to be sent. */
  begin(): void {
    for (const ref of dueNotices(this.#options.engine().state)) this.announce(ref);
  }

  announce(ref: NoticeRef): void {
    const notice = dueNotice(this.#options.engine().state, ref);
    if (notice === undefined || this.#options.messenger === undefined) return;
    this.#waiting.push(ref, notice.dueAt);
    this.#plan();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #plan(): void {
    const { clock, timers } = this.#options.host;
    this.#timer?.cancel();
    const at = this.#waiting.nextAt;
    if (this.#stopped || at === undefined || this.#sending >= MAX_AT_ONCE) return;
    const ms = Math.min(LONGEST_SLEEP_MS, Math.max(0, at - clock.wall()));
    this.#timer = timers.after(ms, () => this.#turn());
  }

  // #region send
  #turn(): void {
    while (!this.#stopped && this.#sending < MAX_AT_ONCE) {
      const ref = this.#waiting.popDue(this.#options.host.clock.wall());
      if (ref === undefined) break;
      this.#sending += 1;
      void this.#send(ref).finally(() => {
        this.#sending -= 1;
        this.#plan();
      });
    }
    this.#plan();
  }

  async #send(ref: NoticeRef): Promise<void> {
    const { messenger } = this.#options;
    const engine = this.#options.engine();
    const notice = dueNotice(engine.state, ref);
    if (notice === undefined) return; // it has its answer by now
    const message = { ...openGate(engine, ref), tries: notice.tries };
    const notify = message.gate.rules!.notify!;
    const failure = messenger!.refusal(notify) ?? await messenger!.send(notify, message);
    if (this.#stopped) return;
    const { run, job, attempt, key = "" } = ref;
    engine.whenRoom(`notice ${run}/${job}/${attempt}/${key}`, () => {
      engine.commit({ type: "NoticeTried", ref, failure });
      this.announce(ref);
    });
  }
  // #endregion
}

/** It is due, so its gate is there. */
function openGate({ state }: Engine, ref: NoticeRef): Omit<GateMessage, "tries"> {
  const job = state.runs.get(ref.run)!.jobs[ref.job]!;
  const { key } = ref;
  const gate = key === undefined ? gateInfo(job) : askInfo({ job, ask: { key } });
  return { gate, run: job.run.id, job: job.spec.id };
}
