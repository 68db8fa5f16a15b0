/**
 * Lesson 24: the part of a module that holds the names which somebody wants.
 *
 *     import { x, y } from "./z.js";          import { x } from "./z.js";
 *     const A = x();                   a      const A = x();
 *     const B = y();                 ────▶
 *     export const a = A;                     export const a = A;
 *     export const b = B;
 *
 * Invariants: a statement that declares nothing has an effect, and stays; a word that stands in a
 * statement that stays may mean any name of the module, so that name stays, too. Too much may stay;
 * nothing that is needed goes.
 * Left out: a declaration whose initial value has an effect that others need. There is none here,
 * and a module that did this would be hard to read, too.
 * Test: test/24-packaging.test.ts
 */
import { statementsOf, type Import, type Names, type Statement } from "./statements.ts";

export interface Slice {
  readonly code: string;
  /** What it wants of other modules. */
  readonly imports: readonly Import[];
}

const WORD = /[A-Za-z_$][\w$]*/g;

// #region slice
export function slice(code: string, wanted: Names): Slice {
  const statements = statementsOf(code);
  const isWanted = (name: string): boolean => wanted === "all" || wanted.has(name);
  const known = byName(statements);
  const words = new Set<string>(); // of the statements that stay
  const stays = new Set<Statement>();
  const keep = (statement: Statement): void => {
    if (stays.has(statement)) return;
    stays.add(statement);
    // An import mentions more names than those for which it stays.
    if (statement.imported !== undefined || statement.passedOn !== undefined) return;
    for (const [word] of statement.text.matchAll(WORD)) {
      if (words.has(word)) continue;
      words.add(word);
      for (const other of known.get(word) ?? []) keep(other);
    }
  };
  // #exercise slice
  for (const statement of statements) {
    const { exported, imported, passedOn, names } = statement;
    const isEffect = names.length === 0 && imported === undefined && passedOn === undefined;
    if (isEffect || exported.some(isWanted)) keep(statement);
    if (imported?.names.size === 0 || passedOn === "all") keep(statement);
  }
  // #end-exercise
  const kept = statements.filter((statement) => stays.has(statement))
    .map((statement) => narrowed(statement, { words, wanted }));
  return {
    code: kept.map(({ text }) => text).join(""),
    imports: kept.flatMap(({ imports }) => imports),
  };
}
// #endregion

function byName(statements: readonly Statement[]): Map<string, Statement[]> {
  const known = new Map<string, Statement[]>();
  for (const statement of statements) {
    for (const name of statement.names) known.set(name, [...(known.get(name) ?? []), statement]);
  }
  return known;
}

/** An import without the names that no statement mentions, a face without those nobody wants. */
function narrowed(
  statement: Statement,
  { words, wanted }: { words: ReadonlySet<string>; wanted: Names },
): { text: string; imports: readonly Import[] } {
  const { imported, passedOn, imports, text } = statement;
  if (passedOn === "all") {
    return { text, imports: imports.map(({ specifier }) => ({ specifier, names: wanted })) };
  }
  const list = imported?.names ?? passedOn;
  const [specifier] = imports.map((one) => one.specifier);
  if (list === undefined || specifier === undefined) return { text, imports };
  const stay = [...list].filter(([ours]) =>
    imported === undefined ? wanted === "all" || wanted.has(ours) : words.has(ours));
  if (list.size > 0 && stay.length === 0) return { text: "", imports: [] };
  if ([...list.values()].includes("*")) return { text, imports };
  const names = new Set(stay.map(([, theirs]) => theirs));
  if (stay.length === list.size) return { text, imports: [{ specifier, names }] };
  const items = stay.map(([ours, theirs]) => (ours === theirs ? ours : `${theirs} as ${ours}`));
  const verb = imported === undefined ? "export" : "import";
  const clause = `${verb} { ${items.join(", ")} } from "${specifier}";\n`;
  return { text: clause, imports: [{ specifier, names }] };
}
