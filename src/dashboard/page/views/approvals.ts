/**
 * Lesson 19: Approvals.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const approvals: View = {
  name: "Approvals",
  render: () => page("Approvals"),
};
