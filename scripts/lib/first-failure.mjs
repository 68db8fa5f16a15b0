// @ts-check
/**
 * A reporter for a test file that must fail: it ends the process with the first test that does,
 * because the others would say nothing new.
 * Test: test/learn-check.test.ts
 */

/** No exit code of node's own. */
export const HAS_FAILED = 41;

/**
 * @param {AsyncIterable<{ type: string, data: any }>} source
 */
export default async function* endAtFirstFailure(source) {
  for await (const { type, data } of source) {
    if (type === "test:fail" && data.todo === undefined) process.exit(HAS_FAILED);
  }
  yield "";
}
