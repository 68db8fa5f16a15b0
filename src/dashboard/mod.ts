/**
 * Lesson 19: the dashboard, as the master's port serves it: files in memory, and a page around
 * them.
 *
 *     assets.ts   the files, their types, and how `#name` becomes an address
 *     shell.ts    the page that loads them
 *     page/       the program in the browser; the header of its main module is its map
 *
 * A browser knows no `#name`. The modules of the page, and the bricks that they use, are compiled
 * by `tsc` alone, and these names are replaced while a file is loaded:
 *
 *     import { layout } from "#layout"  ──▶  import { layout } from "/assets/layout/mod.js"
 *
 * Invariants: every file is read once; a file that has not changed is not sent again (ETag); the
 * page names no other origin, and holds no script or style of its own.
 * Left out: bundlers and minifiers. A person may read in the browser what stands in the repository.
 * Test: test/19-dashboard.shell.test.ts
 */
export { collect, Dashboard, type Asset } from "./assets.ts";
export { lockedPage } from "./shell.ts";
