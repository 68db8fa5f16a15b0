/**
 * Lesson 11: what an executor is told, and what all of its attempts share.
 *
 * Test: test/11-worker.exec.test.ts
 */
import { join, resolve } from "node:path";
import { nodeWorkFolders, type WorkerHost, type WorkFolders } from "#host";
import { PYTHON_FOLDER, pythonFolder } from "./python-path.ts";

/**
 * The variables of the worker's own environment that its jobs may see. Any other would be a leak.
 */
const INHERITED = ["PATH", "HOME", "LANG", "TMPDIR", "USER"] as const;
/** A worker may be told to let them see more: "OPENAI_API_KEY,OPENAI_BASE_URL". */
const MORE = "TITAN_JOB_ENV";

export interface ExecutorOptions {
  readonly host: WorkerHost;
  /** This executor owns the folder: it is removed at the end. */
  readonly workDir: string;
  /**
   * A folder that all workers of this machine use, for TITAN_SHARED. Default: a run shares per
   * executor only.
   */
  readonly sharedRoot?: string;
  /** Processes for `call` jobs, one for each call that runs at once. Default 8. */
  readonly callProcesses?: number;
  /**
   * The first variables of every job's environment. Default: PATH HOME LANG TMPDIR USER of this
   * process, and those that its TITAN_JOB_ENV names.
   */
  readonly baseEnv?: Readonly<Record<string, string>>;
  /** Default: the real ones. */
  readonly folders?: WorkFolders;
  /** Called with news that a person may want to know. */
  readonly onNote?: (text: string) => void;
}

/** The things that all attempts of one executor share. */
export interface Shared {
  readonly host: WorkerHost;
  readonly workDir: string;
  readonly folders: WorkFolders;
  readonly sharedRoot: string | undefined;
  /** Removes a folder, or notes that it cannot be removed. Never rejects. */
  remove(path: string): Promise<void>;
  readonly baseEnv: Readonly<Record<string, string>>;
  /** A folder with our modules for Python, made when it is first asked for; or undefined. */
  python(): string | undefined;
}

export function sharedBy(options: ExecutorOptions): Shared {
  const workDir = resolve(options.workDir);
  const folders = options.folders ?? nodeWorkFolders(workDir);
  const { host, sharedRoot, onNote, baseEnv = inherited() } = options;
  const remove = async (path: string): Promise<void> => {
    try {
      await folders.remove(path);
    } catch (error) {
      onNote?.(`Cannot remove ${path}: ${(error as Error).message}`);
    }
  };
  let python: { readonly folder: string | undefined } | undefined;
  // An executor with simulated folders has no real folder to put a link into.
  const make = (): string | undefined => options.folders === undefined
    ? pythonFolder(folders, { folder: join(workDir, PYTHON_FOLDER), onNote }) : undefined;
  return {
    host, workDir, folders, sharedRoot, remove, baseEnv,
    python: () => (python ??= { folder: make() }).folder,
  };
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  const more = (process.env[MORE] ?? "").split(",").map((name) => name.trim());
  // Our own variables are the worker's, its token among them.
  for (const name of [...INHERITED, ...more.filter((each) => !each.startsWith("TITAN_"))]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}
