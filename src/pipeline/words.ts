/**
 * Lesson 17: a line of arguments, split as a POSIX shell would split it, and nothing more.
 *
 *     --rows 1000 'it''s' "a \"b\""   →   --rows · 1000 · its · a "b"
 *
 * Left out: a backslash before a line end keeps the line end, where a shell would drop both.
 * Invariants: no expansion: `$HOME`, `*` and `~` stay as they are, and nothing is ever run.
 * Test: test/17-pipelines.test.ts
 */

export type Words =
  | {
      readonly words: string[];
      /** An expansion that a shell would do and that nobody does here. */
      readonly expansion?: string;
    }
  /** `at`: where in the text the quote or backslash is. */
  | { readonly problem: string; readonly at: number };

/**
 * Splits `text` at blanks, honouring quotes and backslashes (POSIX, Shell Command Language, 2.2).
 *
 * @example
 * ```ts
 * import { splitWords } from "#pipeline";
 * splitWords(`--name "two words" it\\'s`) // => { words: [ '--name', 'two words', "it's" ] }
 * splitWords(`--name "two`) // => { problem: 'the quote is not closed', at: 7 }
 * ```
 */
// #region splitWords
export function splitWords(text: string): Words {
  // #exercise splitWords
  const words: string[] = [];
  let word: string[] | undefined; // undefined: between words. An empty list is the word "".
  let expansion: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (/[ \t\n]/.test(char)) {
      if (word) words.push(word.join(""));
      word = undefined;
      continue;
    }
    word ??= [];
    if (char === "'") {
      const close = text.indexOf("'", i + 1);
      if (close < 0) return { problem: "the quote is not closed", at: i };
      word.push(text.slice(i + 1, close));
      i = close;
    } else if (char === '"') {
      const open = i;
      for (i++; text[i] !== '"'; i++) {
        if (i >= text.length) return { problem: "the quote is not closed", at: open };
        // Between double quotes a backslash is itself, except before these.
        if (text[i] === "\\" && /["\\$`\n]/.test(text.charAt(i + 1))) i++;
        else expansion ??= expansionAt(text, i);
        word.push(text.charAt(i));
      }
    } else if (char === "\\") {
      if (i + 1 >= text.length) return { problem: "there is nothing behind the backslash", at: i };
      word.push(text.charAt(++i));
    } else {
      expansion ??= expansionAt(text, i);
      word.push(char);
    }
  }
  if (word) words.push(word.join(""));
  return expansion === undefined ? { words } : { words, expansion };
  // #end-exercise
}
// #endregion

/** `$NAME`, `${NAME}` or `$(command)` at this place. */
function expansionAt(text: string, at: number): string | undefined {
  if (text[at] !== "$") return undefined;
  return /^\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\}|\()/.exec(text.slice(at, at + 40))?.[0];
}
