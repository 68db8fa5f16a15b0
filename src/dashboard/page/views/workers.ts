/**
 * Lesson 19: Workers: all of them as a table, and the pools that start them.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const workers: View = {
  name: "Workers",
  render: () => page("Workers"),
};
