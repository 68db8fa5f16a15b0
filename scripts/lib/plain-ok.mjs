// @ts-check
/**
 * Loaded into tests that run from the sources: `assert.ok(x)` says that x is not true, and not with
 * which words the test has it.
 *
 * Node looks for those words by line and column of the text that runs. tsx makes one long line of a
 * file, so that Node seeks column 9,000 of the file itself: its parser begins anew at one character
 * after the other, for minutes, and no deadline can end a test that does not yield. The stack has
 * the line.
 * Test: test/learn-scripts.test.ts
 */
import assert from "node:assert";

for (const each of [assert, assert.strict]) {
  const { ok } = each;
  /** @type {(value: unknown, message?: string | Error) => void} */
  const plain = (value, message = "The expression evaluated to a falsy value") =>
    ok(value, message);
  Object.assign(each, { ok: plain });
}
