/**
 * Lesson 24: where the names of modules come from, through all faces and under all their names.
 *
 *     a.js: import { run as go } from "#exec"
 *     exec/mod.js: export { run } from "./run.js"        go in a.js = run in exec/run.js
 *
 * Private to src/packaging: merge.ts needs it.
 * Test: test/24-packaging.merge.test.ts
 */
import { posix } from "node:path";
import { statementsOf, type Statement } from "./statements.ts";

/** A name of a module; `file` may be one of Node's, "node:fs". */
export interface Binding {
  readonly file: string;
  /** `*`: all of the module. */
  readonly name: string;
}

export interface Module {
  readonly file: string;
  readonly statements: readonly Statement[];
  /** What its own statements declare, and the names under which others find that. */
  readonly declares: Set<string>;
  /** Its names for what it imports. */
  readonly imports: Map<string, Binding>;
  /** Modules that have to be loaded before it. */
  readonly needs: Set<string>;
  /** And those that it loads before it ends: `await import(…)` outside of all functions. */
  readonly soon: Set<string>;
}

const AT_ONCE = /^const [^=]+ = await (?:Promise\.all\(\[\s*)?import\("/;

/** `import … from` and `export … from`. */
export function isLink({ imported, passedOn }: Statement): boolean {
  return imported !== undefined || passedOn !== undefined;
}

export class Linker {
  readonly modules: ReadonlyMap<string, Module>;
  /** Programs of threads and processes. */
  readonly programs = new Set<string>();
  /** What import() loads. */
  readonly later = new Set<string>();
  /** What is imported as a whole, or for its effect. */
  readonly whole = new Set<string>();
  readonly #imports: ReadonlyMap<string, string>;
  readonly #statements: ReadonlyMap<string, readonly Statement[]>;
  readonly #exports = new Map<string, Map<string, Binding>>();

  constructor(files: ReadonlyMap<string, string>, imports: ReadonlyMap<string, string>) {
    this.#imports = imports;
    this.#statements =
      new Map([...files].map(([file, code]) => [file, statementsOf(code)] as const));
    this.modules = new Map([...files.keys()].map((file) => [file, this.#read(file)] as const));
  }

  resolve(file: string, specifier: string): string {
    if (specifier.startsWith("node:")) return specifier;
    if (specifier.startsWith(".")) return posix.join(posix.dirname(file), specifier);
    return this.#imports.get(specifier) ?? specifier;
  }

  /** The module that a link names. */
  target(file: string, { imports }: Statement): string {
    return this.resolve(file, imports[0]!.specifier);
  }

  #read(file: string): Module {
    const module: Module = {
      file, statements: this.#statements.get(file)!, declares: new Set(), imports: new Map(),
      needs: new Set(), soon: new Set(),
    };
    for (const statement of module.statements) {
      if (isLink(statement)) this.#link(module, statement);
      else this.#own(module, statement);
    }
    return module;
  }

  #own({ file, declares, soon }: Module, { text, names, exported, imports }: Statement): void {
    for (const name of [...names, ...exported]) declares.add(name);
    for (const { specifier } of imports) {
      const target = this.resolve(file, specifier);
      (text.includes("import(") ? this.later : this.programs).add(target);
      if (AT_ONCE.test(text)) soon.add(target);
    }
  }

  #link({ file, imports, needs }: Module, statement: Statement): void {
    const { imported, passedOn } = statement;
    const target = this.target(file, statement);
    const names = imported?.names ?? (passedOn === "all" ? undefined : passedOn);
    const isNodes = target.startsWith("node:");
    if (names === undefined || names.size === 0) needs.add(target);
    if (names?.size === 0) this.whole.add(target).add(file);
    for (const [ours, theirs] of names ?? []) {
      if (theirs === "*" && !isNodes) this.whole.add(target);
      const isItself = theirs === "*" || isNodes;
      const binding = isItself ? { file: target, name: theirs } : this.find(target, theirs);
      if (imported !== undefined) imports.set(ours, binding);
      if (!isNodes) needs.add(binding.file);
    }
  }

  /** @throws {Error} if there is no such name */
  find(file: string, name: string): Binding {
    const found = this.exports(file).get(name);
    if (found === undefined) throw new Error(`Cannot merge: ${file} has no ${name}`);
    return found;
  }

  /** All names that a module gives, and where they are. */
  exports(file: string): ReadonlyMap<string, Binding> {
    const known = this.#exports.get(file);
    if (known !== undefined) return known;
    const found = this.#exportsOf(file);
    this.#exports.set(file, found);
    return found;
  }

  #exportsOf(file: string): Map<string, Binding> {
    const statements = this.#statements.get(file);
    if (statements === undefined) throw new Error(`Cannot merge: there is no ${file}`);
    const found = new Map<string, Binding>();
    for (const statement of statements) {
      const { exported, passedOn } = statement;
      if (passedOn === undefined) {
        for (const name of exported) found.set(name, { file, name });
      } else if (passedOn === "all") {
        for (const [name, binding] of this.exports(this.target(file, statement))) {
          if (!found.has(name)) found.set(name, binding);
        }
      } else {
        const target = this.target(file, statement);
        for (const [ours, theirs] of passedOn) {
          found.set(ours, theirs === "*" ? { file: target, name: "*" } : this.find(target, theirs));
        }
      }
    }
    return found;
  }
}

/** What these modules load, each behind those that it needs. */
export function inOrder(
  modules: ReadonlyMap<string, Module>, roots: Iterable<string>, and?: "soon",
): Module[] {
  const seen = new Set<string>();
  const order: Module[] = [];
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const module = modules.get(file);
    if (module === undefined) throw new Error(`Cannot merge: there is no ${file}`);
    for (const needed of module.needs) visit(needed);
    order.push(module);
    if (and !== undefined) for (const needed of module[and]) visit(needed);
  };
  for (const root of roots) visit(root);
  return order;
}
