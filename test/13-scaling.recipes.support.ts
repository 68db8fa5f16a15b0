/** The recipes of docs/scaling.md, as tests read them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readPools, type PoolDefinition } from "#pipeline";

export const page = readFileSync(new URL("../docs/scaling.md", import.meta.url), "utf8");

/** The text of the recipe below a heading. */
export function recipe(heading: string): string {
  const part = page.split(/^### /m).find((text) => text.startsWith(`${heading}\n`));
  const [, yaml] = /^```yaml\n([\s\S]*?)^```$/m.exec(part ?? "") ?? [];
  return yaml ?? assert.fail(`docs/scaling.md has no recipe "${heading}"`);
}

export function poolOf(heading: string): PoolDefinition {
  const pools = readPools(recipe(heading), { file: "docs/scaling.md" });
  assert.equal(pools.length, 1);
  return pools[0]!;
}

/** The shell lines of a pool. */
export function linesOf({ driver }: PoolDefinition): { up: string; down: string } {
  assert.ok(driver.type === "command");
  const [up, down] = [driver.up, driver.down].map((argv) => {
    assert.deepEqual(argv.slice(0, 2), ["sh", "-c"]);
    assert.equal(argv.length, 3);
    return argv[2]!;
  });
  return { up: up!, down: down! };
}
