/**
 * Lesson 19: Agents.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const agents: View = {
  name: "Agents",
  render: () => page("Agents"),
};
