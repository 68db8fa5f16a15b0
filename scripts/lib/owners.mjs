// @ts-check
/**
 * Loaded into the processes of tests: Node's runner knows whose test an error is, at a price that
 * can be paid.
 *
 *     test() ─▶ promise, timer, socket … ─▶ what those make ─▶ an error that nobody catches
 *       7              7                          7            whose? 7: it fails the test
 *
 * Node notes the test of each promise and handle in a map, and takes it out when the garbage
 * collector says that the promise is gone. That, for a million promises, was a fifth of what a test
 * file computes. Here a number is noted in a list, and stays: two bytes for each of them.
 * Node's own functions are in their places again once its runner has taken these.
 * Test: test/learn-failure.test.ts
 */
import hooks from "node:async_hooks";
import { isMainThread } from "node:worker_threads";

const { createHook, executionAsyncId } = hooks;

/** How many promises and handles there is room for at first: as many as small files make. */
const FIRST_ROOM = 1 << 16;

/** By the id of a promise or handle: the place of its test in `tests`, 0 for none. */
let owners = new Uint16Array(FIRST_ROOM);
/** Ids of tests. */
const tests = [0];

/** @param {number} id */
function makeRoomFor(id) {
  const old = owners;
  owners = new Uint16Array(2 * Math.max(id, old.length));
  owners.set(old);
}

/**
 * What the runner has as `createHook`: of its two functions, the one that puts tests into its map.
 * @param {import("node:async_hooks").HookCallbacks} callbacks
 */
const hookOfRunner = ({ init }) => createHook({
  init(id, type, trigger, resource) {
    if (id >= owners.length) makeRoomFor(id);
    if (type !== "Test") owners[id] = owners[trigger] ?? 0;
    else {
      owners[id] = tests.push(id) - 1;
      init?.(id, type, trigger, resource);
    }
  },
});

/** What it has as `executionAsyncId`: it looks for nothing but tests by it. */
function idOfTest() {
  const id = executionAsyncId();
  return tests[owners[id] ?? 0] || id;
}

// A test's programs may have its options, and its threads have them.
if (isMainThread && /\.test\.m?[jt]s$/.test(process.argv[1] ?? "")) {
  Object.assign(hooks, { createHook: hookOfRunner, executionAsyncId: idOfTest });
  await import("node:test");
  Object.assign(hooks, { createHook, executionAsyncId });
}
