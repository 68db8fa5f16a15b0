/**
 * Lesson 19: the interface, described by itself: OpenAPI 3.1 from the table of routes.
 *
 * Test: test/http.test.ts
 */
import type { Route } from "./route.ts";
import { shapes, type Schema } from "#rows";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  const info = { title: "Titan", version, description: "docs/http-api.md tells how to use it." };
  return { openapi: "3.1.0", info, paths };
}

function operation(route: Route): object {
  const { summary, body, takes } = route;
  const types = takes ?? (body === undefined ? [] : ["application/json"]);
  const content = Object.fromEntries(types.map((type) => [type, { schema: body ?? {} }]));
  return {
    summary,
    parameters: parametersOf(route),
    ...(types.length > 0 && { requestBody: { required: takes !== undefined, content } }),
    responses: {
      200: { description: "done", content: answerOf(route) },
      default: {
        description: "refused, with the reason",
        content: { "application/json": { schema: shapes.error } },
      },
    },
  };
}

function answerOf({ answer, type = "text/plain" }: Route): object {
  if (answer === undefined) return { [type]: { schema: { type: "string" } } };
  return { "application/json": { schema: answer } };
}

function parametersOf({ path, query = {} }: Route): Parameter[] {
  const schema = { type: "string" } as const;
  const parts = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]): Parameter =>
    ({ name: name!, in: "path", required: true, schema }));
  const others = Object.entries(query).map(([name, description]): Parameter =>
    ({ name, in: "query", required: false, description, schema }));
  return [...parts, ...others];
}
