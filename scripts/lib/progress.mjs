// @ts-check
/**
 * How far the tests of a chapter are, for somebody who waits. What is wrong is told at the end, and
 * should be on the screen then: a list of all that passes would push it out.
 *
 *     a terminal    one line, written over:   31 tests pass, 1 fails: ✖ settle() of a job twi…
 *     a pipe        the first test that fails, by its name, when it does
 *
 * Test: test/learn-failure.test.ts
 */

/** Of a terminal that does not say how wide it is, or says 0. */
const COLUMNS = 80;
/** To the start of the line, and nothing on it. */
const CLEAR = "\r\x1b[K";

/**
 * @param {Pick<import("node:tty").WriteStream, "isTTY" | "columns" | "write">} out
 */
export function progressOn(out) {
  let passed = 0;
  let failed = 0;
  let first = "";
  const show = () => {
    if (!out.isTTY) return;
    const fails = failed === 0 ? "" : `, ${failed} fail${failed === 1 ? "s" : ""}: ✖ ${first}`;
    const line = `  ${passed} test${passed === 1 ? " passes" : "s pass"}${fails}`;
    const room = (out.columns || COLUMNS) - 1;
    out.write(`${CLEAR}${line.length > room ? `${line.slice(0, room - 1)}…` : line}`);
  };
  return {
    pass() {
      passed += 1;
      show();
    },
    /** @param {string} name */
    fail(name) {
      failed += 1;
      if (failed === 1) {
        first = name;
        if (!out.isTTY) out.write(`✖ ${name}\n`);
      }
      show();
    },
    end() {
      if (out.isTTY && passed + failed > 0) out.write(CLEAR);
    },
  };
}
