/**
 * Lesson 10: how one fact came about, and what it changed: decide → append → apply → effects.
 *
 * Test: test/10-master.history.test.ts
 */
import { eventJson } from "#core";
import type { Cursor, Written } from "./cursor.ts";
import { sentenceOf } from "./facts.ts";
import type { PastNames } from "./names.ts";
import { commandsOf, effectsOf, perhaps, type ToldEffect } from "./origins.ts";
import { wishText } from "./wishes.ts";
import { sayChanges, type Change } from "./words.ts";

export interface StepTold {
  readonly seq: number;
  readonly fact: object;
  readonly text: string;
  /** Commands from which such a fact follows, as far as the log can say it. */
  readonly decide: { readonly commands: readonly string[]; readonly text: string };
  /** Bytes on the disk. */
  readonly append: { readonly seq: number; readonly bytes: number; readonly type: string };
  readonly apply: readonly Change[];
  /** Jobs beyond those in `apply` that may have changed. */
  readonly more: number;
  readonly effects: readonly ToldEffect[];
}

/** Effects of one fact that are told: a thousand runs may be forgotten at once. */
const MAX_EFFECTS = 50;

/** Takes the next fact: the cursor stands behind it afterwards. */
export function tellStep(cursor: Cursor, fact: Written, names: PastNames): StepTold {
  const { event, place: { seq }, bytes } = fact;
  const text = sentenceOf(seq, event, names);
  const commands = commandsOf(event);
  const effects = [...effectsOf(cursor.state, event), ...perhaps(event)];
  const { changes: apply, more } = sayChanges(cursor, fact, names);
  return {
    seq, text, fact: { seq, ...eventJson(event, names), text },
    decide: { commands, text: wishText(commands) },
    append: { seq, bytes, type: event.type },
    apply, more, effects: effects.slice(0, MAX_EFFECTS),
  };
}
