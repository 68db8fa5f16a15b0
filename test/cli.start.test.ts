/**
 * What `titan` loads before it knows what it is asked: each module costs a millisecond, at every
 * call. A command fetches the rest when it runs.
 */
import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { codeOf, pkg, read, subsystemOf } from "./style.support.ts";

/** The imports that remain when types are taken out; `import { type A }` does remain. */
function loadedBy(source: string): string[] {
  const code = codeOf(source, { keepStrings: true });
  const statement =
    /^(?:import|export)\s+(?!type\b)(?:(?:[\w*]|\{)[^;"]*?\sfrom\s+)?"([^"]+)"/gm;
  return [...code.matchAll(statement)].map((match) => match[1]!);
}

function subsystemsAtOnce(start: readonly string[]): string[] {
  const files = new Set<string>();
  const open = [...start];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const name of loadedBy(read(file))) {
      if (name.startsWith("#")) open.push(normalize(pkg.imports[name]!["source"]!));
      else if (name.startsWith(".")) open.push(join(dirname(file), name));
    }
  }
  return [...new Set([...files].map((file) => subsystemOf(file)!))].sort();
}

test("the program loads its words, no role and no client", () => {
  const start = ["src/cli/context.ts", "src/cli/exit.ts", "src/cli/program.ts"];
  assert.deepEqual(subsystemsAtOnce(start), ["base", "cli", "codec", "host", "wire"]);
});

test("a cluster loads no store (it is in a thread, or elsewhere) and no reader of pools", () => {
  const loaded = subsystemsAtOnce(["src/cluster/mod.ts", "src/master/mod.ts"]);
  for (const unneeded of ["store", "pipeline", "yaml"]) {
    assert.ok(!loaded.includes(unneeded), loaded.join());
  }
});

test("a store's thread begins to load before the master does", () => {
  const owner = subsystemsAtOnce(["src/cluster/mod.ts"]);
  assert.deepEqual(owner, ["base", "cluster", "codec", "host", "process", "wire"]);
  assert.ok(subsystemsAtOnce(["src/cluster/store-thread.ts"]).includes("store"));
});

test("loadedBy() sees what is left of an import without its types", () => {
  const source =
    'import type { A } from "./a.ts";\nimport { type B } from "./b.ts";\nimport {\n  c,\n' +
    '} from "./c.ts";\nimport "./d.ts";\nexport * from "./e.ts";\n' +
    'export type { F } from "./f.ts";\nconst g = await import("./g.ts");\n// import "./h.ts";\n';
  assert.deepEqual(loadedBy(source), ["./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
});
