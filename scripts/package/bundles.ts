/**
 * The two bundles: which files are in them, and their bytes.
 *
 *     titan-master/   bin/titan  start_master.sh  start_worker.sh  titan.env  systemd/  dist/  …
 *     titan-worker/   bin/titan  start_worker.sh  titan.env  systemd/  dist/  …
 *     both            src/sdk/python/, which jobs in Python import
 *
 * Invariants: the same commit gives the same bytes (with the same Node, whose zlib compresses);
 * `dist/` holds the modules that the entries reach, and no other, and in dist/dashboard/assets what
 * browsers load from a master; package.json names their faces, and no other.
 * Test: test/24-packaging.bundles.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import {
  merge, reach, reindent, sha256, statementsOf, SUMS, sumsText, tarball,
  type Modules, type TarEntry,
} from "#packaging";
import { buildPage, ROOT } from "../bootstrap.mjs";
import { filesUnder } from "../lib/files.mjs";

const FILES = join(ROOT, "scripts", "package", "files");
/** In a bundle where it is in the repository: a worker looks for it there. */
const PYTHON = "src/sdk/python";
const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  name: string;
  version: string;
  license: string;
  engines: { node: string };
  imports: Record<string, { default: string }>;
  exports: Record<string, string | { default: string }>;
};
/** ">=20.15" */
const OLDEST = MANIFEST.engines.node.replace(/^>=/, "");

interface Role {
  readonly name: "master" | "worker";
  readonly entry: string;
  /** Programs of other people may import the package: a job's file does. */
  readonly hasSdk: boolean;
  readonly files: readonly string[];
}

const ROLES: readonly Role[] = [
  {
    name: "master",
    entry: "dist/cli/main.js",
    hasSdk: true,
    files: [
      "start_master.sh", "start_worker.sh", "systemd/titan-master.service",
      "systemd/titan-worker.service",
    ],
  },
  {
    name: "worker",
    entry: "dist/cli/worker-main.js",
    hasSdk: false,
    files: ["start_worker.sh", "systemd/titan-worker.service"],
  },
];

export interface Bundle {
  readonly name: string;
  readonly bytes: Buffer;
  readonly modules: number;
}

export async function makeBundles(): Promise<Bundle[]> {
  const folder = mkdtempSync(join(tmpdir(), "titan-package-"));
  try {
    compile(join(folder, "dist"));
    await buildPage(join(folder, "dist"), ["--noCheck"]);
    const page = pageIn(join(folder, "dist", "dashboard", "assets"));
    const imports = Object.entries(MANIFEST.imports)
      .map(([name, target]) => [name, target.default.replace(/^\.\//, "")] as const);
    const modules: Modules = { imports: new Map(imports), read: (file) => textOf(folder, file) };
    return ROLES.map((role) => makeBundle(role, modules, role.name === "master" ? page : []));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Without comments: they are half of the bytes, and in the repository. Types are not checked here:
 * `npm test` does that.
 */
function compile(outDir: string): void {
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const args = [tsc, "-p", join(ROOT, "tsconfig.json"), "--outDir", outDir, "--removeComments",
    "--noCheck"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status === 0) return;
  throw new Error(`Cannot package: the sources do not compile\n${stdout}${stderr}`.trimEnd());
}

/** The files of the dashboard, as they are sent. */
function pageIn(folder: string): [path: string, text: string][] {
  return filesUnder(folder).map((file) => [relative(folder, file), readFileSync(file, "utf8")]);
}

function textOf(folder: string, file: string): string | undefined {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function makeBundle(
  role: Role, modules: Modules, page: readonly (readonly [path: string, text: string])[],
): Bundle {
  const faces = Object.values(MANIFEST.exports).flatMap((target) =>
    typeof target === "string" ? [] : [target.default.replace(/^\.\//, "")]);
  const roots = [role.entry, ...(role.hasSdk ? faces : [])];
  const reached = reach(roots, modules);
  const narrow = new Map([...reached].map(([file, code]) => [file, reindent(code)] as const));
  const merged = merge(narrow, { roots, imports: modules.imports });
  const entries = new Map<string, TarEntry>();
  const add = (path: string, content: string | Buffer, executable = false): void => {
    entries.set(path, { path, content: Buffer.from(content), executable });
  };
  for (const [file, code] of merged) add(file, code);
  for (const [path, text] of page) add(`dist/dashboard/assets/${path}`, text);
  if (!role.hasSdk) for (const face of faces) add(face, absent(modules.read(face) as string));
  for (const name of readdirSync(join(ROOT, PYTHON)).filter((each) => each.endsWith(".py"))) {
    add(`${PYTHON}/${name}`, readFileSync(join(ROOT, PYTHON, name)));
  }
  add("package.json", packageJson([...merged.values()].join("")));
  add("bin/titan", filled("bin/titan", role), true);
  add("README.md", filled(`README.${role.name}.md`, role));
  add("VERSION", `${MANIFEST.version}\n${commit()}\n`);
  add("LICENSE", readFileSync(join(ROOT, "LICENSE")));
  for (const file of ["titan.env", ...role.files]) {
    add(file, filled(file, role), file.endsWith(".sh"));
  }
  const sums = [...entries.values()].map(({ path, content }) => [path, sha256(content)] as const);
  add(SUMS, sumsText(new Map(sums.sort(([a], [b]) => (a < b ? -1 : 1)))));
  const inside = [...entries.values()].map((one) => ({
    ...one,
    path: `titan-${role.name}/${one.path}`,
  }));
  const bytes = gzipSync(tarball(inside), { level: 9 });
  bytes[9] = 255; // the operating system, which gzip writes down
  return { name: `titan-${role.name}-bundle.tar.gz`, bytes, modules: reached.size };
}

/**
 * In the place of a face that is not shipped. It has all its names, or a job's import would fail at
 * the first of them with a message that does not help.
 */
function absent(face: string): string {
  const names = statementsOf(face).flatMap(({ exported }) => exported).join(", ");
  const why = "this worker's bundle is the thin one; start the worker from the master's bundle";
  const what = `Cannot import ${MANIFEST.name} here: ${why}`;
  return `export let ${names};\nthrow new Error(${JSON.stringify(what)});\n`;
}

/** It names the faces that this code loads by their names. */
function packageJson(code: string): string {
  const { name, version, license, engines, exports } = MANIFEST;
  const imports = Object.entries(MANIFEST.imports)
    .filter(([specifier]) => code.includes(`"${specifier}"`))
    .map(([specifier, target]) => [specifier, target.default]);
  const faces = Object.entries(exports)
    .map(([path, target]) => [path, typeof target === "string" ? target : target.default]);
  const manifest = {
    name, version, license, type: "module", engines, bin: { titan: "bin/titan" },
    exports: Object.fromEntries(faces), imports: Object.fromEntries(imports),
  };
  return `${JSON.stringify(manifest, undefined, 1)}\n`;
}

/** A file of scripts/package/files, with its blanks filled in. */
function filled(file: string, { entry }: Role): string {
  const [major = "", minor = "0"] = OLDEST.split(".");
  const values: Record<string, string> = {
    OLDEST, MAJOR: major, MINOR: minor, ENTRY: entry, VERSION: MANIFEST.version,
  };
  return readFileSync(join(FILES, file), "utf8")
    .replace(/@([A-Z]+)@/g, (blank, name: string) => values[name] ?? blank);
}

/** The commit that was packed, and whether more than that was in the folder. */
function commit(): string {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
    return status === 0 ? stdout.trim() : undefined;
  };
  const hash = git("rev-parse", "HEAD");
  if (hash === undefined) return "commit unknown";
  const changed = git("status", "--porcelain", "--", "src", "scripts", "package.json", "LICENSE");
  return `commit ${hash}${changed === "" ? "" : " with changes"}`;
}
