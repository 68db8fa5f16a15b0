/**
 * Lesson 19: Store.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const store: View = {
  name: "Store",
  render: () => page("Store"),
};
