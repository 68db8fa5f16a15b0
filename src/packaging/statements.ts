/**
 * Lesson 24: the statements of a module that tsc has made, as far as packing has to understand
 * them: what each declares, exports and imports.
 *
 * It is no parser. In the output of tsc a statement begins at the beginning of a line and its other
 * lines do not, but for closing brackets and the text of a template.
 *
 * Invariant: the texts of the statements, one after another, are the module.
 * Test: test/24-packaging.test.ts
 */
/** Which names of a module somebody wants. */
export type Names = ReadonlySet<string> | "all";

/** What a statement wants of another module. */
export interface Import {
  /** As it is written: "./log.js", "#log", "node:fs". */
  readonly specifier: string;
  readonly names: Names;
}

export interface Statement {
  /** All its lines. */
  readonly text: string;
  /** Names in this module that it declares or imports. */
  readonly names: readonly string[];
  /** Names under which others find them. */
  readonly exported: readonly string[];
  readonly imports: readonly Import[];
  /** `import { theirs as ours }`: ours → theirs. */
  readonly imported?: { readonly names: ReadonlyMap<string, string> };
  /** `export { theirs as ours } from`: ours → theirs; "all" for `export *`. */
  readonly passedOn?: ReadonlyMap<string, string> | "all";
}

const MODULE = /^(import|export)\s+(?:([^"'();=]*?)\s*from\s+)?"([^"\n]+)";\s*$/;
const DECLARES = /^(?:export )?(?:default )?(?:async )?(?:function\*?|class|const|let|var) /;
/** Behind that: one name, or a pattern. */
const DECLARED = /^(?:([\w$]+)|\{([^}]*)\}|\[([^\]]*)\])/;
/** `const { a, b } = await import("x")`, `(await import("x")).a`, and any other `import("x")`. */
const DYNAMIC =
  /(?:(\{[^{}]*\})\s*=\s*await\s+|\(await\s+|\b)import\("([^"\n]+)"\)(?:\)\.([\w$]+))?/g;
/**
 * A file beside this one, which is the program of a thread or of a process; also where the ending
 * is chosen, `main.${… ? "ts" : "js"}`.
 */
const BESIDE =
  /\bnew URL\(\s*["'\x60](\.[^"'\x60\n$]*\.)(?:js["'\x60]|\$\{[^\n]*\x60)\s*,\s*import\.meta\.url/g;
const STARTS = /^(?:import .*"|export [a-z{*]|class \w)/;
/** Backticks here begin no template: character classes of expressions, and texts. */
const CLASSES = /\/\[(?:[^\]\\]|\\.)*\]|\[\^(?:[^\]\\]|\\.)*\]/g;
const TEXTS = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g;

export function statementsOf(code: string): Statement[] {
  return splitUp(code).map(understand);
}

// #region splitUp
/**
 * The lines of each statement; a blank line belongs to the one before it. Refuses a template
 * without an end, and a line in a template that STARTS like a statement: "Cannot tell code from
 * text".
 */
export function splitUp(code: string): string[] {
  const found: string[] = [];
  let inTemplate = false;
  for (const line of code.split(/(?<=\n)/)) {
    // #exercise splitUp
    if (inTemplate && STARTS.test(line)) throw new Error(`Cannot tell code from text: ${line}`);
    const begins = !inTemplate && /^[^\s})\]]/.test(line);
    if (begins || found.length === 0) found.push(line);
    else found[found.length - 1] += line;
    const plain = inTemplate ? line : line.replace(CLASSES, "").replace(TEXTS, "");
    // A backtick, in words that this function can read when it packs its own module.
    const ticks = plain.match(/(?<!\\)\x60/g)?.length ?? 0;
    if (ticks % 2 === 1) inTemplate = !inTemplate;
    // #end-exercise
  }
  if (inTemplate) throw new Error("Cannot read the module: a template has no end");
  return found;
}
// #endregion

function understand(text: string): Statement {
  const [, verb, clause, specifier] = MODULE.exec(text) ?? [];
  if (specifier !== undefined) return ofModule(text, { verb, clause, specifier });
  const imports = importsIn(text);
  const list = /^export \{([^}]*)\};\s*$/.exec(text)?.[1];
  if (list !== undefined) {
    const pairs = [...pairsOf(`{${list}}`)];
    // Each name that is wanted keeps the whole list: its other names are mentioned, too.
    return {
      text,
      imports,
      names: pairs.map(([ours]) => ours),
      exported: pairs.map(([ours]) => ours),
    };
  }
  const before = DECLARES.exec(text)?.[0];
  const behind = before === undefined ? "" : text.slice(before.length);
  const [, one, object, array] = DECLARED.exec(behind) ?? [];
  const names = one !== undefined ? [one] : wordsOf(object ?? array ?? "");
  const isDefault = text.startsWith("export default");
  return {
    text, imports, names,
    exported: isDefault ? ["default"] : text.startsWith("export ") ? names : [],
  };
}

function ofModule(
  text: string,
  { verb, clause = "", specifier }: {
    verb: string | undefined; clause: string | undefined; specifier: string;
  },
): Statement {
  const star = /^\*(?:\s+as\s+([\w$]+))?$/.exec(clause.trim());
  const all: readonly Import[] = [{ specifier, names: "all" }];
  if (verb === "export" && star !== null && star[1] === undefined) {
    return { text, names: [], exported: [], imports: all, passedOn: "all" };
  }
  const names = star === null ? pairsOf(clause) : new Map([[star[1] as string, "*"]]);
  // All that it imported were types: it is there for nothing. `import "./x.js"` is for its effect.
  // Its name is no word, so nobody will ask for it.
  if (/^\{\s*\}$/.test(clause.trim())) return { text, names: ["{}"], exported: [], imports: [] };
  const imports: readonly Import[] =
    star === null ? [{ specifier, names: new Set(names.values()) }] : all;
  if (verb === "export") {
    return { text, names: [], exported: [...names.keys()], imports, passedOn: names };
  }
  return { text, names: [...names.keys()], exported: [], imports, imported: { names } };
}

/** `d, { a, b as c }`: ours → theirs. */
function pairsOf(clause: string): Map<string, string> {
  const [before = "", list = ""] = clause.split(/[{}]/);
  const items = list.split(",").map((item) => item.trim()).filter((item) => item !== "");
  const pairs = items.map((item): [string, string] => {
    const [theirs = "", ours = theirs] = item.split(/\s+as\s+|\s*[:=]\s*/);
    return [ours, theirs];
  });
  const byDefault = wordsOf(before);
  return new Map([...byDefault.map((name): [string, string] => [name, "default"]), ...pairs]);
}

const wordsOf = (text: string): string[] => text.match(/[A-Za-z_$][\w$]*/g) ?? [];

/** Imports inside of a statement: dynamic ones, and the programs of threads and processes. */
function importsIn(text: string): Import[] {
  const found: Import[] = [];
  for (const [, taken, specifier = "", member] of text.matchAll(DYNAMIC)) {
    if (member !== undefined) found.push({ specifier, names: new Set([member]) });
    else if (taken === undefined) found.push({ specifier, names: "all" });
    else found.push({ specifier, names: new Set(pairsOf(taken).values()) });
  }
  for (const [, path] of text.matchAll(BESIDE)) {
    found.push({ specifier: `${path}js`, names: "all" });
  }
  return found;
}
