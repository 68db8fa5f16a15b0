// @ts-check
/**
 * `npm test -- --changed`: what a change can touch.
 *
 *     git: what differs from where this branch left main ──▶ the project as a graph, walked
 *     backwards from those files ──▶ tests, lessons, pages
 *
 * One file uses another when it imports it ("#log" is what package.json says it is), when its text
 * names it, as `"scripts/demo/main.ts"` or `join(ROOT, "docs")` does, or when it runs it, as
 * `npm run sim` in a lesson does. A folder's name stands for all that is in it, and `dist` for
 * `src`.
 *
 * Invariant: a test that is left out cannot have noticed the change. A text is taken for the name
 * of a file whenever there is one of that name, so that too much is run rather than too little;
 * what decides how tests run at all (SETTINGS) touches everything.
 * Left out: names that a program puts together from pieces. The rules of style.test.ts look at the
 * whole project, and so they always run.
 * Test: test/changed.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { BootstrapError } from "../bootstrap.mjs";

/** A change of these changes how everything is built, run or checked. */
const SETTINGS = [
  /^(package|package-lock|tsconfig|test\/tsconfig)\.json$/,
  /^scripts\/(bootstrap|test|chapter|launch)\.mjs$/, /^scripts\/lib\//, /^\.ci\//,
];

/** What checks the lessons: all of them are checked anew. */
const CHECKER = /^scripts\/learn(\.mjs$|\/)/;

/** These look at all files. */
const ALWAYS = ["test/style.test.ts"];

/** Where a branch usually began. */
const TRUNKS = ["main", "origin/main", "master", "origin/master"];

/** What is read for the names of other files. */
const READABLE = /\.(ts|mjs|js|md|patch|yaml)$/;
const PAGE = /^(docs\/.*|[^/]*)\.md$/;
const TEST = /^test\/[\w.-]+\.test\.ts$/;
const LESSON = /^lessons\/(\d\d-[a-z0-9-]+)\//;

/**
 * @typedef {{ changed: string[], base: string }} Change
 * @typedef {{ why: string, tests: Map<string, string>, lessons: Map<string, string>,
 *   pages: boolean }} Plan `why`: not empty when everything has to run
 */

/**
 * What differs from `ref`: committed, staged, in the working tree, or new.
 * @param {string} root
 * @param {string | undefined} ref default: where this branch left main
 * @returns {Change}
 * @throws {BootstrapError} when git cannot tell
 */
export function changesSince(root, ref) {
  const base = ref === undefined ? whereItBegan(root) : commitOf(root, ref);
  if (base === undefined) {
    const none = `there is none of ${TRUNKS.join(", ")}`;
    const what = ref === undefined ? none : `git knows no ${ref}`;
    throw new BootstrapError(
      `Cannot find what has changed: ${what} (npm test -- --changed=REF names a commit)`,
    );
  }
  const differing = git(root, ["diff", "--name-only", "--no-renames", "-z", base]);
  const untracked = git(root, ["ls-files", "--others", "--exclude-standard", "-z"]);
  if (differing === undefined || untracked === undefined) {
    throw new BootstrapError(`Cannot find what has changed: git says nothing in ${root}`);
  }
  const names = `${differing}${untracked}`.split("\0").filter(Boolean);
  return { base, changed: [...new Set(names)].sort() };
}

/** @param {string} root */
function whereItBegan(root) {
  const trunk = TRUNKS.find((name) => commitOf(root, name) !== undefined);
  return trunk && git(root, ["merge-base", "HEAD", trunk])?.trim();
}

/** @param {string} root @param {string} ref */
const commitOf = (root, ref) =>
  git(root, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`])?.trim();

/** @param {string} root @param {string[]} args */
function git(root, args) {
  const done = spawnSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  return done.status === 0 ? done.stdout : undefined;
}

/**
 * What of the project has to run when these files have changed, each with the way from the change
 * to it.
 * @param {string} root
 * @param {readonly string[]} changed relative to the root; they may be gone
 * @returns {Plan}
 */
export function planFor(root, changed) {
  const files = [...new Set([...projectFiles(root), ...changed])];
  const setting = changed.find((file) => SETTINGS.some((pattern) => pattern.test(file)));
  const reached = reach(usersOf(root, files), changed);
  const checker = changed.find((file) => CHECKER.test(file));
  /** @type {Plan} */
  const plan = {
    why: setting === undefined ? "" : `${setting} decides how everything is run`,
    tests: new Map(), lessons: new Map(), pages: changed.some((file) => /^src\/|\.md$/.test(file)),
  };
  for (const file of files) {
    const way = reached.get(file) ?? (changed.length > 0 && ALWAYS.includes(file) ? [] : undefined);
    if (way === undefined) continue;
    const told = tell(file, way);
    if (TEST.test(file) && existsSync(join(root, file))) plan.tests.set(file, told);
    const lesson = LESSON.exec(file)?.[1];
    if (lesson !== undefined && existsSync(join(root, "lessons", lesson))) {
      // The shortest way to a lesson tells most.
      const before = plan.lessons.get(lesson);
      if (before === undefined || told.length < before.length) plan.lessons.set(lesson, told);
    }
  }
  if (checker !== undefined) {
    const page = /^lessons\/(\d\d-[^/]*)\/README\.md$/;
    const all = files.flatMap((file) => page.exec(file)?.[1] ?? []);
    plan.lessons = new Map(all.map((id) => [id, `${checker} checks the lessons`]));
  }
  return plan;
}

/**
 * The same graph walked forwards: these files, and all that they use in any way. Nothing else can
 * change what they do.
 * @param {string} root
 * @param {readonly string[]} starts files of the project, or others in its folder
 * @returns {Set<string> | undefined} undefined: git does not tell what belongs to the project
 */
export function usedFrom(root, starts) {
  const files = projectFiles(root);
  if (files.length === 0) return undefined;
  files.push(...starts.filter((start) => !files.includes(start)));
  /** @type {Map<string, string[]>} */
  const uses = new Map();
  for (const [used, users] of usersOf(root, files)) {
    for (const user of users) uses.set(user, [...(uses.get(user) ?? []), used]);
  }
  const found = new Set(starts);
  for (const file of found) for (const used of uses.get(file) ?? []) found.add(used);
  return found;
}

/** As much of a way as a line can hold. */
const STEPS_TOLD = 3;

/**
 * @param {string} file
 * @param {readonly string[]} way from the changed file on, without `file`
 */
function tell(file, way) {
  if (way.length === 0) return ALWAYS.includes(file) ? "it looks at all files" : "it has changed";
  const [changed, ...between] = way;
  const left = between.length - STEPS_TOLD;
  const steps = [...between.slice(0, STEPS_TOLD), ...(left > 0 ? [`${left} more`] : [])];
  return [changed, ...steps].join(" -> ");
}

/**
 * Everything that the changed files lead to, with the shortest way to it.
 * @param {Map<string, Set<string>>} users
 * @param {readonly string[]} changed
 * @returns {Map<string, string[]>}
 */
function reach(users, changed) {
  /** @type {Map<string, string[]>} */
  const ways = new Map(changed.map((file) => [file, []]));
  const queue = [...changed];
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    for (const user of users.get(file) ?? []) {
      if (ways.has(user)) continue;
      ways.set(user, [...(ways.get(file) ?? []), file]);
      queue.push(user);
    }
  }
  return ways;
}

/**
 * @param {string} root
 * @returns {string[]} tracked, or about to be
 */
function projectFiles(root) {
  const listed = git(root, ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]) ?? "";
  return listed.split("\0").filter(Boolean);
}

/**
 * For each file those that use it.
 * @param {string} root
 * @param {readonly string[]} files
 * @returns {Map<string, Set<string>>}
 */
function usersOf(root, files) {
  const project = readProject(root, files);
  /** @type {Map<string, Set<string>>} */
  const users = new Map();
  const addUser = (/** @type {string} */ used, /** @type {string} */ user) => {
    users.set(used, (users.get(used) ?? new Set()).add(user));
  };
  for (const user of files) {
    // A setting names files in order to decide about them; it does not change with them.
    const settles = SETTINGS.some((pattern) => pattern.test(user));
    if (settles || !READABLE.test(user) || PAGE.test(user)) continue;
    if (!existsSync(join(root, user))) continue;
    for (const used of usedBy(user, readFileSync(join(root, user), "utf8"), project)) {
      if (used !== user) addUser(used, user);
    }
    // A command is one thing: the files that it starts and reads lie beside it.
    const command = /^scripts\/\w+(?=\/)/.exec(user)?.[0];
    for (const used of (command && project.folders.get(command)) || []) addUser(used, user);
  }
  // A test may put the name of its helper together: those of one chapter belong together.
  for (const file of files) {
    const chapter = /^(test\/[\w-]+)\.[^/]*$/.exec(file)?.[1];
    if (chapter === undefined || TEST.test(file) || users.has(file)) continue;
    const family = files.filter((each) => TEST.test(each) && each.startsWith(`${chapter}.`));
    for (const user of family) addUser(file, user);
  }
  return users;
}

/**
 * @typedef {{ files: Set<string>, folders: Map<string, string[]>, packages: Map<string, string>,
 *   commands: Map<string, string>, chapters: Map<string, string[]> }} Project
 */

/**
 * @param {string} root
 * @param {readonly string[]} files
 * @returns {Project}
 */
function readProject(root, files) {
  /** @type {Map<string, string[]>} */
  const folders = new Map();
  for (const file of files) {
    for (let folder = posix.dirname(file); folder !== "."; folder = posix.dirname(folder)) {
      folders.set(folder, [...(folders.get(folder) ?? []), file]);
    }
  }
  /** @type {{ imports?: Record<string, { source?: string }>, scripts?: Record<string, string> }} */
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { imports = {}, scripts = {} } = manifest;
  return {
    files: new Set(files), folders,
    packages: new Map(Object.entries(imports).map(([name, { source = "" }]) =>
      [name, posix.normalize(source)])),
    commands: new Map(Object.entries(scripts).map(([name, line]) => [name, programOf(line)])),
    chapters: chaptersOf(root, files),
  };
}

/** The file behind a script of package.json. @param {string} line */
function programOf(line) {
  const [, program = "", name = ""] = /^node (\S+)(?: (\S+))?/.exec(line) ?? [];
  return program === "scripts/launch.mjs" ? `scripts/${name}/main.ts` : program;
}

/**
 * The sources that a lesson teaches, by its number: their header names it.
 * @param {string} root
 * @param {readonly string[]} files
 */
function chaptersOf(root, files) {
  /** @type {Map<string, string[]>} */
  const chapters = new Map();
  for (const file of files) {
    if (!/^src\/.*\.ts$/.test(file) || !existsSync(join(root, file))) continue;
    const text = readFileSync(join(root, file), "utf8");
    const number = /\bLesson (\d\d)\b/.exec(/\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? "")?.[1];
    if (number !== undefined) chapters.set(number, [...(chapters.get(number) ?? []), file]);
  }
  return chapters;
}

/** A text in quotes; not the name of a property, as fixtures have it: `{ "src/a.ts": … }`. */
const TEXT = /(["'`])((?:(?!\1)[^\\\n$])+)\1(?!\s*:)/g;
/** The arguments of `join(ROOT, "dist", "cli", "main.js")`, and the items of `["src", "docs"]`. */
const JOINED = /\bjoin\(([^()]*)\)/g;
const LISTED = /\[([^[\]]*)\]/g;
/** Words of a page that could be a path: what a lesson quotes, what a patch changes. */
const PATHS = /[\w@.-]+(?:\/[\w@.-]+)+/g;

/**
 * What a file uses.
 * @param {string} file
 * @param {string} text
 * @param {Project} project
 * @returns {Set<string>}
 */
function usedBy(file, text, project) {
  /** @type {Set<string>} */
  const used = new Set();
  const add = (/** @type {string} */ name) => {
    for (const found of filesNamed(name, { from: file, project })) used.add(found);
  };
  if (/\.(ts|mjs|js)$/.test(file)) {
    for (const name of namesIn(text, TEST.test(file))) add(name);
  } else {
    for (const [path] of text.matchAll(PATHS)) add(path.replace(/^[ab]\/(?=src|test|lessons)/, ""));
    for (const [, name = ""] of text.matchAll(/^\$ .*\bnpm run (?:-s )?([\w-]+)/gm)) {
      add(project.commands.get(name) ?? "");
    }
  }
  const lesson = /^lessons\/(\d\d)-[^/]*\/README\.md$/.exec(file)?.[1];
  for (const source of (lesson && project.chapters.get(lesson)) || []) used.add(source);
  return used;
}

/**
 * The names in a program. A word without a slash is one only where paths are made: "test" is the
 * name of many things.
 * @param {string} text
 * @param {boolean} isTest
 * @returns {string[]}
 */
function namesIn(text, isTest) {
  const textsIn = (/** @type {string} */ part) =>
    [...part.matchAll(TEXT)].map((match) => match[2] ?? "");
  const names = textsIn(text).filter((name) => /[/#]/.test(name));
  for (const [, parts = ""] of text.matchAll(JOINED)) names.push(textsIn(parts).join("/"));
  if (!isTest) return names;
  for (const [, parts = ""] of text.matchAll(LISTED)) names.push(...textsIn(parts));
  return names;
}

/**
 * The files that a text names, if it names any. A folder means all that is in it to a test, which
 * may look at it. Scripts are given most of theirs, and name only what is theirs in full.
 * @param {string} name
 * @param {{ from: string, project: Project }} where
 * @returns {readonly string[]}
 */
function filesNamed(name, { from, project }) {
  const source = project.packages.get(name);
  if (source !== undefined) return [source];
  const bases = from.startsWith("src/") ? [posix.dirname(from)] : [posix.dirname(from), "."];
  for (const base of bases) {
    const written = posix.normalize(posix.join(base, name.replace(/#.*/, ""))).replace(/\/$/, "");
    // "", "..", the folder itself
    if (/^[./]*$/.test(name) || written === posix.dirname(from)) continue;
    const built = written.replace(/^dist(?=$|\/)/, "src").replace(/\.js$/, ".ts");
    for (const path of [written, built]) {
      if (project.files.has(path)) return [path];
      const looksInto = TEST.test(from) || (from.startsWith("scripts/") && name.includes("/"));
      if (looksInto && project.folders.has(path)) return project.folders.get(path) ?? [];
    }
  }
  return [];
}
