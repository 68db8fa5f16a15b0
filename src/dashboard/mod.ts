/**
 * Lesson 19: the dashboard, as the master's port serves it: files in memory, and a page around
 * them.
 *
 *     assets.ts    the files and their types
 *     collect.ts   few files for many modules, and paths for `#name`
 *     shell.ts     the page that loads them
 *     page/        the program in the browser; the header of its main module is its map
 *
 * A browser knows no `#name`. The modules of the page, and the bricks that they use, are compiled
 * by `tsc` alone, and these names are replaced while a file is loaded:
 *
 *     import { layout } from "#layout"  ──▶  import { layout } from "../layout/mod.js"
 *
 * Invariants: every file is read once; a file that has not changed is not sent again (ETag); the
 * page names no other origin, and holds no script or style of its own.
 * Left out: minifiers. A person may read in the browser what stands in the repository.
 * Test: test/19-dashboard.shell.test.ts
 */
export { Dashboard, type Asset } from "./assets.ts";
export { lockedPage } from "./shell.ts";
