/**
 * Lesson 19: a row of links that is wider than the screen shows the one where a person is, and its
 * neighbours. A person who has scrolled the row is left alone until they go elsewhere.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import type { Hook } from "../vdom.ts";

/** By row, the link that was brought into sight last. */
const lastShown = new WeakMap<Element, Element>();

export const inSight: Hook = {
  update(row) {
    const here = row.querySelector('[aria-current="page"]');
    if (here === null || lastShown.get(row) === here) return;
    lastShown.set(row, here);
    const [all, own] = [row.getBoundingClientRect(), here.getBoundingClientRect()];
    row.scrollLeft += own.left + own.width / 2 - (all.left + all.width / 2);
  },
};
