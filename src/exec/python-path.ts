/**
 * Lesson 18: how a program in Python finds `titan` and `titan_job`, without installing them.
 *
 *     PYTHONPATH=…:<workDir>/.titan/python       import titan_job
 *     <workDir>/.titan/python/titan_job.py  ─▶  the file of this package
 *
 * Python keeps what it has compiled beside the name by which it has found a file. So these are
 * links in a folder of the worker's own, and no program writes into an installation.
 *
 * Left out: a Python that was started with -E or -I. It does not look at the variable.
 * Test: test/11-worker.python.test.ts
 */
import { join } from "node:path";
import { lookAt, makeLink, type WorkFolders } from "#host";
import { PACKAGE } from "./package-link.ts";

/** A job imports the first two. The third is below them. */
const FILES = ["titan.py", "titan_job.py", "titan_wire.py"] as const;
const SOURCE = join(PACKAGE, "src", "sdk", "python");

/**
 * Below the worker's folder. A worker's folder may lie in somebody's project, and what leads out of
 * a project is not packed; `.titan` is left out as a whole.
 */
export const PYTHON_FOLDER = join(".titan", "python");

interface Options {
  readonly folder: string;
  /** Where the files are. Default: in this package. */
  readonly source?: string;
  readonly onNote?: ((text: string) => void) | undefined;
}

/**
 * Makes the folder. Undefined: this installation has no such files, or it cannot be made. That is
 * only noted: few jobs import them, and the others must not fail for it.
 */
export function pythonFolder(
  folders: WorkFolders, { folder, source = SOURCE, onNote }: Options,
): string | undefined {
  const files = FILES.map((name) => [join(folder, name), join(source, name)] as const);
  if (files.some(([, file]) => lookAt(file) === undefined)) return undefined;
  try {
    void folders.make(folder);
    for (const [link, file] of files) makeLink(link, file);
    return folder;
  } catch (error) {
    onNote?.(`titan_job cannot be imported by jobs: ${(error as Error).message}`);
    return undefined;
  }
}

/** A job finds its own modules first, as it does its own packages. */
export function withPython(
  env: Record<string, string>, folder: string | undefined,
): Record<string, string> {
  if (folder === undefined) return env;
  const { PYTHONPATH: own = "" } = env;
  return { ...env, PYTHONPATH: own === "" ? folder : `${own}:${folder}` };
}
