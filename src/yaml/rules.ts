/**
 * Lesson 17: the constructs that this reader refuses by name, and the keys of one map.
 *
 * Invariant: a person who writes a construct that is missing here is told its name, and what to
 * write instead.
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { Mark } from "./cursor.ts";
import { clip } from "./error.ts";
import type { ScalarNode } from "./node.ts";
import type { Reader } from "./reader.ts";

/** `&a key: value` names the key, where nearly everyone means the map. */
export const ANCHORED_KEY =
  "an anchor before a key would name the key only: put it behind the colon, or on the line " +
  "above the map";
export const ANCHORED_TWICE = "an anchor names a value, not another anchor or an alias";
export const DIRECTIVES = "directives (%YAML, %TAG) are not supported";
export const SECOND_DOCUMENT = "a second document: one file holds one";

/** Refuses a character that cannot begin plain text, saying what it would mean in full YAML. */
export function refuseIndicator(r: Reader, options: { inFlow: boolean }): void {
  const char = r.peek();
  if (char === "!") {
    r.fail("UNSUPPORTED", "tags (!name) are not supported: types come from the schema");
  }
  if (char === "%") {
    r.fail("UNSUPPORTED", r.column === 0 ? DIRECTIVES : 'text cannot begin with "%": quote it');
  }
  if (char === "@" || char === "`") {
    r.fail("UNEXPECTED", `text cannot begin with "${char}": quote it`);
  }
  if (char === "|" || char === ">") {
    const what = `"${char}" begins a block of text, which cannot stand here`;
    r.fail("UNEXPECTED", `${what}; quote it if it is text`);
  }
  if (char === "#") {
    r.fail("UNEXPECTED", 'a comment needs a space before "#"; quote it if it is text');
  }
  if (",[]{}".includes(char)) r.fail("UNEXPECTED", `unexpected "${char}"`);
  if (char === "&" || char === "*") {
    r.fail("UNSUPPORTED", "only one anchor or alias can stand here");
  }
  const alone = r.blankAt(1) || (options.inFlow && ",[]{}".includes(r.peek(1)));
  if (!alone) return;
  if (char === "?") r.fail("UNSUPPORTED", 'complex keys ("? ") are not supported');
  if (char === "-") {
    const where = options.inFlow ? "cannot stand inside brackets" : "must begin on its own line";
    r.fail("UNEXPECTED", `a "- " list ${where}`);
  }
  if (char === ":") r.fail("UNEXPECTED", 'there is no key before this ":"');
}

/** The keys of one map: plain text, each once. */
export class KeySet {
  readonly #r: Reader;
  readonly #lines = new Map<string, number>();

  constructor(r: Reader) {
    this.#r = r;
  }

  /** Refuses a text that could only begin a key that is no text. */
  refuseComplex(): void {
    const r = this.#r;
    const char = r.peek();
    if (char === "[" || char === "{") r.fail("UNSUPPORTED", "a key must be text, not a collection");
    if (char === "*") r.fail("UNSUPPORTED", "a key must be text, not an alias");
    if (char === "&") r.fail("UNSUPPORTED", ANCHORED_KEY);
  }

  add(key: ScalarNode, at: Mark): ScalarNode {
    const r = this.#r;
    const earlier = this.#lines.get(key.text);
    if (earlier !== undefined) {
      const what = `the key "${clip(key.text)}" is already in line ${earlier}`;
      r.failAt(at, "DUPLICATE_KEY", what, key.length);
    }
    this.#lines.set(key.text, key.line);
    return key;
  }
}
