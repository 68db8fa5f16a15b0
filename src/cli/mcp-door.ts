/**
 * `/mcp` on the HTTP door: nothing of it is loaded until somebody asks for it.
 *
 * Test: test/20-mcp.http.test.ts
 */
import type { HttpDoor, Mount } from "#http";
import type { DispatcherOptions } from "#mcp";

export function lazyMcp(
  door: () => HttpDoor, options: Omit<DispatcherOptions, "session">,
): Mount {
  let loading: Promise<Mount> | undefined;
  return async (request) => {
    loading ??= import("#mcp").then(({ mcpOverHttp }) =>
      mcpOverHttp({ ...options, session: () => door().session() }));
    return (await loading)(request);
  };
}
