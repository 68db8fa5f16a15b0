/**
 * What the tests of style look at: the project's files, their code without comments and texts, and
 * what they import.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

export const ROOT = join(import.meta.dirname, "..");
export const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

export interface PackageJson {
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly exports: object;
  readonly dependencies?: object;
  readonly optionalDependencies?: object;
  readonly peerDependencies?: object;
  readonly bundleDependencies?: object;
  readonly devDependencies: Readonly<Record<string, string>>;
}
export const pkg = JSON.parse(read("package.json")) as PackageJson;

/**
 * Every file, tracked or about to be; without git (a tarball), every file that is not generated.
 */
function projectFiles(): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const git = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  const isThere = git.status === 0 && git.stdout !== "";
  const listed = isThere ? git.stdout.split("\0").filter(Boolean) : walk(ROOT);
  return listed.filter((file) => {
    const path = join(ROOT, file);
    return existsSync(path) && statSync(path).isFile();
  }).sort();
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (/^(node_modules|dist|own|\.git|\.titan)$/.test(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [relative(ROOT, path)];
  });
}

export const files = projectFiles();
export const sources = files.filter((file) => file.startsWith("src/") && file.endsWith(".ts"));

/** Comments; texts in three kinds of quotes; patterns, which begin where no division can. */
const TOKEN = new RegExp(
  [
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`\/\/[^\n]*`,
    String.raw`"(?:[^"\\\n]|\\.)*"`,
    String.raw`'(?:[^'\\\n]|\\.)*'`,
    "`(?:[^`\\\\]|\\\\[\\s\\S])*`",
    String.raw`(?<=[=(,:;!&|?[{}\n]\s*|\breturn\s*)` +
      String.raw`\/(?![/*])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*`,
  ].join("|"),
  "g",
);

/**
 * Source text with comments blanked, and what texts say, too, unless asked; lines keep their
 * numbers.
 */
export function codeOf(source: string, options: { keepStrings?: boolean } = {}): string {
  return source.replace(TOKEN, (found) => {
    if (found.startsWith("//") || found.startsWith("/*")) return found.replace(/[^\n]/g, " ");
    if (options.keepStrings) return found;
    if (!found.startsWith("`")) return '""';
    // What a template computes is code, what it spells is not.
    const holes = [...found.matchAll(/\$\{([^`]*?)\}/g)].map((hole) => hole[1]).join(" ");
    return `\`${holes}${"\n".repeat(found.split("\n").length - 1)}\``;
  });
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
}

export function importsOf(source: string): Import[] {
  const code = codeOf(source, { keepStrings: true });
  // A text that ends in "from" is followed by a quote, too; but no specifier looks like the code
  // behind it.
  const pattern = /(?<![.\w])(?:from\s*|import\s*\(?\s*)["']([\w#@./:-]+)["']/g;
  return [...code.matchAll(pattern)].map((match) => ({
    specifier: match[1]!, line: code.slice(0, match.index).split("\n").length,
  }));
}

/** "src/master/core/x.ts" is in "core", "src/master/x.ts" in "master": the deepest folder wins. */
export function subsystemOf(file: string): string | undefined {
  return Object.entries(pkg.imports)
    .map(([name, { source = "" }]) => ({
      name: name.slice(1), folder: `${dirname(normalize(source))}/`,
    }))
    .filter(({ folder }) => file.startsWith(folder))
    .sort((a, b) => b.folder.length - a.folder.length)[0]?.name;
}

/** A circle in a graph of names, from its first name to the same again. */
export function findCycle(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of edges.get(name) ?? []) {
      const cycle = visit(next, [...path, name]);
      if (cycle) return cycle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of edges.keys()) {
    const cycle = visit(name, []);
    if (cycle) return cycle;
  }
  return undefined;
}
