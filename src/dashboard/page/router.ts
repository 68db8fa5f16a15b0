/**
 * Lesson 19: addresses and views. Pure: a path in, the name of a view and what the path names out.
 *
 * Test: test/19-dashboard.shell.test.ts
 */

/** The links of the navigation, in their order. */
export const NAVIGATION = [
  { name: "Overview", path: "/", icon: "overview" },
  { name: "Runs", path: "/runs", icon: "runs" },
  { name: "Workers", path: "/workers", icon: "workers" },
  { name: "Services", path: "/services", icon: "services" },
  { name: "Approvals", path: "/approvals", icon: "approvals" },
  { name: "Agents", path: "/agents", icon: "agents" },
  { name: "Store", path: "/store", icon: "store" },
  { name: "Constructor", path: "/constructor", icon: "constructor" },
  { name: "History", path: "/history", icon: "history" },
] as const;

/** `{name}` stands for one part of a path. */
const ROUTES = [
  ["/", "overview"],
  ["/runs", "runs"],
  ["/runs/{run}", "run"],
  ["/workers", "workers"],
  ["/services", "services"],
  ["/services/{service}", "services"],
  ["/approvals", "approvals"],
  ["/agents", "agents"],
  ["/agents/{agent}", "agents"],
  ["/store", "store"],
  ["/constructor", "constructor"],
  ["/history", "history"],
] as const;

export type ViewName = (typeof ROUTES)[number][1] | "missing";

export interface Route {
  readonly view: ViewName;
  /** What the path names, decoded: `{ run: "nightly-7k2m" }`. */
  readonly params: Readonly<Record<string, string>>;
}

export function routeOf(path: string): Route {
  const parts = partsOf(path);
  for (const [pattern, view] of ROUTES) {
    const params = match(partsOf(pattern), parts);
    if (params !== undefined) return { view, params };
  }
  return { view: "missing", params: {} };
}

/** The navigation's link that a path belongs to: a run belongs to Runs. */
export function sectionOf(path: string): string {
  const [first = ""] = partsOf(path);
  return `/${first}`;
}

/** An address: `pathTo(["runs", id], { job })`. Undefined and empty values are left out. */
export function pathTo(
  parts: readonly string[], query: Readonly<Record<string, string | undefined>> = {},
): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") asked.set(name, value);
  }
  const text = asked.toString();
  return `/${parts.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** The address with some parameters changed, or removed where the value is undefined. */
export function withQuery(
  url: URL, changes: Readonly<Record<string, string | undefined>>,
): string {
  const query = new URLSearchParams(url.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return `${url.pathname}${text === "" ? "" : `?${text}`}`;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

function match(
  pattern: readonly string[], parts: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, expected] of pattern.entries()) {
    if (!expected.startsWith("{")) {
      if (expected !== parts[at]) return undefined;
    } else params[expected.slice(1, -1)] = decoded(parts[at]!);
  }
  return params;
}

/** A half of a `%` stays as it is: it names nothing, and the view says so. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
