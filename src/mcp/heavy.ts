/**
 * Lesson 20: the code with which tools work, and which is more than all the rest: the SDK, with its
 * reader of pipelines. It is loaded once: by the first call, or before it in an idle moment.
 *
 * Test: test/20-mcp.test.ts
 */
type Heavy = typeof import("#sdk") & typeof import("#project");

let loading: Promise<Heavy> | undefined;

export function loadHeavy(): Promise<Heavy> {
  return (loading ??= Promise.all([import("#sdk"), import("#project")])
    .then(([sdk, project]) => ({ ...sdk, ...project })));
}
