/**
 * Lesson 19: Constructor.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const builder: View = {
  name: "Constructor",
  render: () => page("Constructor"),
};
