/** The dashboard's style sheets are sent as one: a class belongs to one of them. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const FOLDER = join(import.meta.dirname, "..", "src", "dashboard", "page", "style");
/** Said beside a class that has an owner: `.row.is-chosen`. */
const SAID_BESIDE = /^(?:is|has)-/;

/** The selectors of a sheet, each for itself, with what stands in parentheses left as it is. */
function selectorsOf(sheet: string): string[] {
  const rules = sheet.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/([^{};]+)\{/g);
  return [...rules].map(([, text]) => text!.trim()).filter((text) => !text.startsWith("@"))
    .flatMap((text) => text.split(/,(?![^(]*\))/)).map((text) => text.trim());
}

/**
 * The classes that a rule is about: those of its first part, since what follows is a thing inside
 * of it. `.page:has(.run-body)` is about the page of a run, and `.page` stays where it was.
 */
function ownersOf(selector: string): string[] {
  const first = /^(?:[^\s>+~(]|\([^)]*\))*/.exec(selector)![0];
  const kind = /:has\(\s*>?\s*([^)]*)\)/.exec(first)?.[1] ?? first.replace(/\([^)]*\)/g, "");
  return [...kind.matchAll(/\.([\w-]+)/g)].map(([, name]) => name!)
    .filter((name) => !SAID_BESIDE.test(name));
}

test("ownersOf() looks at what a rule is about", () => {
  const cases: Record<string, string[]> = {
    ".a .b > .c": ["a"], ".a.is-chosen:hover": ["a"], ".a:has(> .b) > .c": ["b"],
    ".a:not(.b, .c) d": ["a"], "input[type=x]": [], ".a.b": ["a", "b"],
  };
  for (const [selector, owners] of Object.entries(cases)) {
    assert.deepEqual(ownersOf(selector), owners, selector);
  }
  assert.deepEqual(selectorsOf("/* .x {} */\n.a:not(.b, .c),\n.d {\n}\n@media (x) {\n  .e { }\n}"),
    [".a:not(.b, .c)", ".d", ".e"]);
});

test("each class is defined in one style sheet", () => {
  const sheets = new Map<string, Set<string>>();
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".css"));
  for (const name of names) {
    for (const selector of selectorsOf(readFileSync(join(FOLDER, name), "utf8"))) {
      for (const owner of ownersOf(selector)) {
        sheets.set(owner, (sheets.get(owner) ?? new Set()).add(name));
      }
    }
  }
  assert.ok(names.length > 5 && sheets.size > 200, `${sheets.size} classes`);
  const clashes = [...sheets].filter(([, files]) => files.size > 1)
    .map(([owner, files]) => `.${owner}: ${[...files].join(", ")}`);
  assert.deepEqual(clashes, []);
});
