/**
 * Lesson 19: what stands where nothing has run yet: three ways to a first run.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { pathTo } from "../router.ts";
import { h, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { button, command, empty } from "./page.ts";

/** It needs nothing but the shell that every worker has, and is slow enough to be watched. */
export const EXAMPLE = `name: hello
jobs:
  - {id: fetch, run: "echo three parts; sleep 1"}
  - {id: part-1, run: "echo one; sleep 2", depends_on: fetch}
  - {id: part-2, run: "echo two; sleep 3", depends_on: fetch}
  - {id: part-3, run: "echo three; sleep 1", depends_on: fetch}
  - id: join
    run: 'echo "{\\"parts\\": 3}" > "$TITAN_OUTPUT"'
    depends_on: [part-1, part-2, part-3]
`;

export function nothingRan(context: Context): VNode {
  const start = (): Promise<void> => context.act(async () => {
    const { run } = await context.api.send<{ run: string }>("runs", EXAMPLE, "application/yaml");
    context.navigate(pathTo(["runs", run]));
  });
  return empty("Nothing has run yet.",
    "An example has five small jobs, of which three run side by side.",
    button("Run an example", () => void start(), { kind: "main", icon: "running" }),
    "Or ", h("a", { href: "/constructor" }, "draw a pipeline"),
    ", or run one from a terminal: ", command("titan run FILE"));
}
