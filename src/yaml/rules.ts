/**
 * Lesson 17: what this reader refuses by name, and the keys of one map.
 *
 * Invariant: whoever writes a construct that is missing here is told its name, and what to write instead.
 * Test: test/17-pipelines.yaml.test.ts
 */
import { clip } from "./error.ts";
import type { ScalarNode } from "./node.ts";
import type { Mark, Reader } from "./reader.ts";

/** `&a key: value` names the key, where nearly everyone means the map. */
export const ANCHORED_KEY = "an anchor before a key would name the key only: put it behind the colon, or on the line above the map";

/** Refuses a character that cannot begin plain text, saying what it would mean in full YAML. */
export function refuseIndicator(r: Reader, options: { inFlow: boolean }): void {
  const char = r.peek();
  if (char === "!") r.fail("UNSUPPORTED", "tags (!name) are not supported: types come from the schema");
  if (char === "%") r.fail("UNSUPPORTED", r.column === 0 ? "directives (%YAML, %TAG) are not supported" : 'text cannot begin with "%": quote it');
  if (char === "@" || char === "`") r.fail("UNEXPECTED", `text cannot begin with "${char}": quote it`);
  if (char === "|" || char === ">") r.fail("UNEXPECTED", `"${char}" begins a block of text, which cannot stand here; quote it if it is text`);
  if (char === "#") r.fail("UNEXPECTED", 'a comment needs a space before "#"; quote it if it is text');
  if (",[]{}".includes(char)) r.fail("UNEXPECTED", `unexpected "${char}"`);
  if (char === "&" || char === "*") r.fail("UNSUPPORTED", "only one anchor or alias can stand here");
  const alone = r.blankAt(1) || (options.inFlow && ",[]{}".includes(r.peek(1)));
  if (!alone) return;
  if (char === "?") r.fail("UNSUPPORTED", 'complex keys ("? ") are not supported');
  if (char === "-") r.fail("UNEXPECTED", options.inFlow ? 'a "- " list cannot stand inside brackets' : 'a "- " list must begin on its own line');
  if (char === ":") r.fail("UNEXPECTED", 'there is no key before this ":"');
}

/** The keys of one map: plain text, each once. */
export class KeySet {
  readonly #r: Reader;
  readonly #lines = new Map<string, number>();

  constructor(r: Reader) {
    this.#r = r;
  }

  /** Refuses what could only be a key that is no text. */
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
    if (earlier !== undefined) r.failAt(at, "DUPLICATE_KEY", `the key "${clip(key.text)}" is already in line ${earlier}`, key.length);
    this.#lines.set(key.text, key.line);
    return key;
  }
}
