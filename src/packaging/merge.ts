/**
 * Lesson 24: one file for a folder of modules.
 *
 *     exec/kill.js ─┐          exec/run.js     // dist/exec/kill.js
 *     exec/run.js  ─┴──▶                       export function kill(job) { … }
 *                                              // dist/exec/run.js
 *     exec/mod.js  ────▶ (gone)                export function run(job) { … kill(job) … }
 *
 * A file costs a line of SHA256SUMS, which does not compress, a header in the archive, and imports;
 * and a program of few files starts sooner. A file is called like its last module, which needs the
 * others. Nothing is renamed: a module whose names are taken in a file goes into another one.
 *
 * Invariants: a file has modules of one folder (of several, if it is asked for over a network)
 * that the same programs load from the start, or the same calls of import() later; so nothing is
 * loaded earlier than before. Modules are behind those that they need, and files make no circle, so
 * all has its value before somebody asks. Programs, faces and whatever is imported by import() or
 * as a whole keep their own files.
 * Left out: a parser, and with it new names: two modules that both have a `show` stay apart.
 * Test: test/24-packaging.merge.test.ts
 */
import { posix } from "node:path";
import { inOrder, isLink, Linker, type Module } from "./linker.ts";

export interface MergeOptions {
  /** Programs and faces: modules that somebody names from outside. */
  readonly roots: readonly string[];
  /** "#log" → "dist/log/mod.js". */
  readonly imports: ReadonlyMap<string, string>;
  /** Names that mean something where the program runs, besides those of Node and the language. */
  readonly globals?: readonly string[];
  /** Also modules of different folders: where each file is asked for over a network. */
  readonly isWide?: boolean;
}

/** A file that is being made. */
interface Part {
  readonly modules: Module[];
  /** By name, what its modules mean by it. */
  readonly names: Map<string, string>;
  /** Names that they may take from nowhere. */
  readonly uses: Set<string>;
}

type Places = ReadonlyMap<string, Part>;

const WORD = /[A-Za-z_$][\w$]*/g;
/** A name that a module takes from nowhere must not be declared by its neighbour. */
const GLOBALS = Object.getOwnPropertyNames(globalThis);

/** By path, the texts of all files. */
export function merge(
  files: ReadonlyMap<string, string>,
  { roots, imports, globals: more = [], isWide = false }: MergeOptions,
): Map<string, string> {
  const globals = new Set([...GLOBALS, ...more]);
  const linker = new Linker(files, imports);
  const programs = new Set([...roots, ...linker.programs]);
  const loaders = loadersOf(linker, programs);
  const own = new Set([...programs, ...linker.later, ...linker.whole]);
  const parts = new Map<string, Part[]>();
  const places = new Map<string, Part>();
  for (const module of inOrder(linker.modules, [...programs, ...linker.later])) {
    if (!own.has(module.file) && module.statements.every(isLink)) continue; // a face, and no more
    const home = isWide ? homeOf(module) : posix.dirname(module.file);
    const key = `${home} ${loaders.get(module.file)}`;
    if (!parts.has(key)) parts.set(key, []);
    const neighbours = parts.get(key)!;
    let part = own.has(module.file)
      ? newPart()
      : neighbours.find((one) =>
        fits(module, one, globals) && !makesCircle(module, one, places));
    if (part === undefined) neighbours.push(part = newPart());
    add(module, part, globals);
    places.set(module.file, part);
  }
  const texts = [...new Set(places.values())].map((part) => {
    const path = pathOf(part);
    return [path, textOf(part, { linker, places, isFace: own.has(path) })] as const;
  });
  return new Map(texts.filter(([, text]) => text !== "").sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * By module, who loads it: the programs that have it from the start, or, if there is none, the
 * imports that come later.
 */
function loadersOf({ modules, later }: Linker, programs: Iterable<string>): Map<string, string> {
  const loaders = new Map<string, string>();
  for (const roots of [programs, later]) {
    const found = new Map<string, string[]>();
    for (const root of roots) {
      for (const { file } of inOrder(modules, [root], "soon")) {
        found.set(file, [...(found.get(file) ?? []), root]);
      }
    }
    for (const [file, by] of found) if (!loaders.has(file)) loaders.set(file, by.join(" "));
  }
  return loaders;
}

/** What a module loads later it names by a path from its folder. */
function homeOf({ file, statements }: Module): string {
  const isBound = statements.some((one) => !isLink(one) && one.imports.length > 0);
  return isBound ? posix.dirname(file) : "";
}

function newPart(): Part {
  return { modules: [], names: new Map(), uses: new Set() };
}

function pathOf({ modules }: Part): string {
  return modules.at(-1)!.file;
}

/** By name, what a module means by it, as a text that can be compared. */
function meanings({ file, declares, imports }: Module): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of declares) found.set(name, `${file} ${name}`);
  for (const [ours, { file: theirs, name }] of imports) found.set(ours, `${theirs} ${name}`);
  return found;
}

/** A module is compared with many files. */
const knownUses = new WeakMap<Module, ReadonlySet<string>>();

/** The names among its words that it may take from nowhere. All other words harm nobody. */
function usesOf(module: Module, globals: ReadonlySet<string>): ReadonlySet<string> {
  const known = knownUses.get(module);
  if (known !== undefined) return known;
  const words = module.statements.flatMap(({ text }) => text.match(WORD) ?? []);
  const uses = new Set(words.filter((word) => globals.has(word)));
  knownUses.set(module, uses);
  return uses;
}

// #region fits
/** Whether all names would mean in one file what they meant before. */
function fits(
  module: Module, { names, uses, modules }: Part, globals: ReadonlySet<string>,
): boolean {
  const own = meanings(module);
  const ownUses = usesOf(module, globals);
  for (const [name, meaning] of own) {
    if ((names.get(name) ?? meaning) !== meaning) return false;
    if (globals.has(name) && !names.has(name) && uses.has(name)) return false;
  }
  for (const name of names.keys()) {
    if (globals.has(name) && !own.has(name) && ownUses.has(name)) return false;
  }
  // A neighbour's function has one name in the file: its own.
  const here = new Set(modules.map(({ file }) => file));
  return [...module.imports].every(([ours, { file, name }]) => !here.has(file) || ours === name);
}
// #endregion

/** Whether another file that the module needs would in turn need this one. */
function makesCircle({ needs }: Module, part: Part, places: Places): boolean {
  const seen = new Set<Part>([part]);
  const leadsBack = (from: Part): boolean => neededBy(from, places).some((next) => {
    if (next === part) return true;
    if (seen.has(next)) return false;
    seen.add(next);
    return leadsBack(next);
  });
  const parts = [...needs].flatMap((file) => places.get(file) ?? []);
  return parts.some((other) => other !== part && leadsBack(other));
}

function neededBy({ modules }: Part, places: Places): Part[] {
  return modules.flatMap(({ needs }) => [...needs].flatMap((file) => places.get(file) ?? []));
}

function add(
  module: Module, { modules, names, uses }: Part, globals: ReadonlySet<string>,
): void {
  modules.push(module);
  for (const [name, meaning] of meanings(module)) names.set(name, meaning);
  for (const name of usesOf(module, globals)) uses.add(name);
}

interface Writing {
  readonly linker: Linker;
  readonly places: Places;
  /** It is known from outside, with all that it passes on. */
  readonly isFace: boolean;
}

function textOf(part: Part, { linker, places, isFace }: Writing): string {
  const { modules } = part;
  const path = pathOf(part);
  const here = new Set(modules.map(({ file }) => file));
  const link = new Links(path, places);
  for (const module of modules) {
    for (const statement of module.statements) {
      const isEffect = statement.imported?.names.size === 0;
      if (isEffect) link.effect(linker.target(module.file, statement));
    }
    for (const [ours, { file, name }] of module.imports) {
      if (!here.has(file)) link.take("import", file, { ours, theirs: name });
    }
  }
  for (const [ours, { file, name }] of isFace ? linker.exports(path) : []) {
    if (file !== path) link.take("export", file, { ours, theirs: name });
  }
  const bodies = modules.map(({ file, statements }) => {
    const own = statements.filter((one) => !isLink(one)).map(({ text }) => text).join("");
    return modules.length === 1 || own === "" ? own : `// ${file}\n${own}`;
  });
  const [hashBang = ""] = /^#!.*\n/.exec(bodies[0]!) ?? [];
  const body = bodies.join("").slice(hashBang.length);
  return hashBang + link.lines("import") + body + link.lines("export");
}

/** The imports of a file and what it passes on, a line for each other file. */
class Links {
  readonly #path: string;
  readonly #places: Places;
  readonly #effects = new Set<string>();
  readonly #clauses = { import: new Map<string, Set<string>>(), export: new Map() } as const;

  constructor(path: string, places: Places) {
    this.#path = path;
    this.#places = places;
  }

  effect(file: string): void {
    this.#effects.add(`import "${this.#specifier(file)}";\n`);
  }

  take(
    verb: "import" | "export", file: string, { ours, theirs }: { ours: string; theirs: string },
  ): void {
    const from = this.#specifier(file);
    const clauses: Map<string, Set<string>> = this.#clauses[verb];
    // Such a name cannot stand between braces: it has a line of its own.
    const isAlone = theirs === "*" || (verb === "import" && theirs === "default");
    const key = isAlone ? `${from} ${ours}` : from;
    const alone = theirs === "*" ? `* as ${ours}` : ours;
    const item = ours === theirs ? ours : `${theirs} as ${ours}`;
    if (!clauses.has(key)) clauses.set(key, new Set());
    clauses.get(key)!.add(isAlone ? alone : item);
  }

  lines(verb: "import" | "export"): string {
    const sorted = [...this.#clauses[verb]].sort(([a], [b]) => (a < b ? -1 : 1));
    const lines = sorted.map(([key, items]: [string, Set<string>]) => {
      const [from, isAlone] = key.split(" ");
      const list = [...items].sort().join(", ");
      return `${verb} ${isAlone === undefined ? `{ ${list} }` : list} from "${from}";\n`;
    });
    return [...(verb === "import" ? this.#effects : []), ...lines].join("");
  }

  #specifier(file: string): string {
    if (file.startsWith("node:")) return file;
    const path = posix.relative(posix.dirname(this.#path), pathOf(this.#places.get(file)!));
    return path.startsWith(".") ? path : `./${path}`;
  }
}
