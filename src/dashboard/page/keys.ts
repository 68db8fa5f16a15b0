/**
 * Lesson 19: from keys to what they mean. Pure.
 *
 *     g r           two keys in a row, within a second and a half
 *     Control+k     also with the command key of a Mac
 *     ?             the character, whatever the keyboard needs for it
 *
 * Where a person types, letters are letters: only keys with Control count there.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Shortcut } from "./views/view.ts";

export interface Pressed {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
  /** The focus is in a field that takes text. */
  readonly isTyping: boolean;
  readonly at: number;
}

const SEQUENCE_MS = 1_500;

export class KeyReader {
  #first = "";
  #at = -Infinity;

  /** What is meant, if anything. A first key of two means nothing yet. */
  read(pressed: Pressed, shortcuts: readonly Shortcut[]): Shortcut | undefined {
    const name = keyName(pressed);
    const before = pressed.at - this.#at <= SEQUENCE_MS ? this.#first : "";
    this.#first = "";
    if (pressed.isTyping && !name.startsWith("Control+")) return undefined;
    const found = shortcuts.find(({ keys }) => before !== "" && keys === `${before} ${name}`) ??
      shortcuts.find(({ keys }) => keys === name);
    if (found === undefined && shortcuts.some(({ keys }) => keys.startsWith(`${name} `))) {
      this.#first = name;
      this.#at = pressed.at;
    }
    return found;
  }
}

function keyName({ key, ctrlKey, metaKey, altKey, shiftKey }: Pressed): string {
  const isNamed = key.length > 1;
  return [
    ctrlKey || metaKey ? "Control+" : "", altKey ? "Alt+" : "",
    shiftKey && isNamed ? "Shift+" : "", isNamed ? key : lettered(key, ctrlKey || metaKey),
  ].join("");
}

/** Control with K is Control with k; alone they differ. */
function lettered(key: string, isHeld: boolean): string {
  return isHeld ? key.toLowerCase() : key;
}
