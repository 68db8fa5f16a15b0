/**
 * Lesson 19: Services.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { page } from "../parts/page.ts";
import type { View } from "./view.ts";

export const services: View = {
  name: "Services",
  render: () => page("Services"),
};
