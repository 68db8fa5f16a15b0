/**
 * A throw-away copy of the project, and programs run in it with a deadline and without survivors.
 *
 * Checks that change files (breaks, skeletons) or run a lesson's commands never touch the checkout:
 * people work in it while the gate runs.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync,
  symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compileCopy, isCompiled, recompile } from "../lib/compiled.mjs";
import { filesUnder } from "../lib/files.mjs";
import { commandOf, pids, standsIn, statOf, textOf } from "../lib/proc.mjs";

/** Left out of a copy: history, tools (linked instead), and the leftovers of people and runs. */
const NOT_COPIED = new Set([".git", "node_modules", "own", ".titan"]);

/**
 * A variable in every sandbox's environment, by which processes are recognised even in another
 * group.
 */
const MARK = "TITAN_SANDBOX";

export interface Sandbox {
  /** The project's copy. */
  readonly root: string;
  /** The copy's own temporary folder (TMPDIR of every program run in it). */
  readonly temp: string;
  /** First in the PATH of every program run in it. */
  readonly bin: string;
  remove(): void;
}

/** Must not outlive this process, however it ends: folders, and process groups by their leader. */
const openFolders = new Set<string>();
const openGroups = new Set<ChildProcess>();
let guarded = false;

function guardExit(): void {
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    for (const child of openGroups) killGroup(child);
    for (const folder of openFolders) rmSync(folder, { recursive: true, force: true });
  });
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
}

/**
 * Copies the project. Programs in a copy run from its sources through tsx; `compile` spends half a
 * second on it, and from then on programs in it, or in a copy of it, start without a loader: see
 * scripts/lib/compiled.mjs.
 */
export function makeSandbox(root: string, options: { compile?: boolean } = {}): Sandbox {
  guardExit();
  const base = realpathSync(mkdtempSync(join(tmpdir(), "titan-learn-")));
  openFolders.add(base);
  const copy = join(base, basename(root));
  const temp = join(base, "tmp");
  mkdirSync(copy);
  mkdirSync(temp);
  const entries = readdirSync(root)
    .filter((name) => !NOT_COPIED.has(name))
    .map((name) => join(root, name));
  // `cp -p` keeps modification times, by which the copied `dist/` is known to be fresh.
  const done = spawnSync("cp", ["-RPp", ...entries, copy], { encoding: "utf8" });
  // A file of a running command that vanished between listing and copying is no reason to stop.
  if (done.error) throw new Error(`Cannot copy the project: ${done.error.message}`);
  // A checkout may be closed; a copy is there to be changed, and removed.
  if ((statSync(root).mode & 0o200) === 0) spawnSync("chmod", ["-R", "u+w", copy]);
  const built = join(copy, "dist");
  for (const name of existsSync(built) ? readdirSync(built) : []) {
    if (/^\.(lock|staging-|types)/.test(name)) rmSync(join(built, name), { recursive: true });
  }
  symlinkSync(join(realpathSync(join(root, "node_modules"))), join(copy, "node_modules"));
  // tsx keeps compiled files here; sharing it saves a second per lesson
  const cache = `tsx-${userInfo().uid}`;
  mkdirSync(join(tmpdir(), cache), { recursive: true });
  symlinkSync(join(tmpdir(), cache), join(temp, cache));
  const bin = join(base, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "npm"), npmShim(root), { mode: 0o755 });
  if (options.compile && !isCompiled(copy)) compileCopy(copy, root);
  const remove = (): void => {
    rmSync(base, { recursive: true, force: true, maxRetries: 3 });
    openFolders.delete(base);
  };
  return { root: copy, temp, bin, remove };
}

/**
 * `npm run -s NAME ARGS` without npm: it takes a fifth of a second of processor time to start a
 * script, and the lessons start fifty. Everything else goes on to the real one.
 */
function npmShim(root: string): string {
  const { scripts = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts?: Record<string, string>;
  };
  const cases = Object.entries(scripts)
    .filter(([name, line]) => /^[\w-]+$/.test(name) && /^node [\w./ -]+$/.test(line))
    .map(
      ([name, line]) =>
        `    ${name}) shift 3; [ "\${1-}" = -- ] && shift; npm_lifecycle_event=${name} ` +
        `INIT_CWD=$PWD exec ${line} "$@" ;;`,
    );
  return [
    "#!/bin/sh",
    "# npm reads options for itself unless -- stands before all of them: it gets such calls.",
    'plain=yes; [ "${4-}" = -- ] || for word in "$@"; do',
    "  case $word in -s) ;; -*) plain=no ;; esac",
    "done",
    'if [ "${1-} ${2-} $plain" = "run -s yes" ] && [ -f package.json ]; then',
    "  case ${3-} in", ...cases, "  esac",
    "fi",
    'PATH=${PATH#*:} exec npm "$@"', "",
  ].join("\n");
}

const APPLY_TIMEOUT_MS = 60_000;

/** Applies a patch of the project to its copy. Undefined when applied; otherwise what git said. */
export async function applyPatch(sandbox: Sandbox, file: string): Promise<string | undefined> {
  const argv = ["git", "apply", "--whitespace=nowarn", file];
  const done = await runIn(sandbox, argv, APPLY_TIMEOUT_MS);
  if (done.code !== 0) return done.output.trim() || `git exited with ${done.code}`;
  const patch = readFileSync(join(sandbox.root, file), "utf8");
  const changed = [...patch.matchAll(/^(?:---|\+\+\+) [ab]\/(\S+)/gm)].map((match) => match[1]!);
  recompile(sandbox.root, changed);
  return undefined;
}

/**
 * Files in a sandbox that somebody may have left behind, as paths relative to it. Ignored folders
 * do not count.
 */
export function listLeftovers(sandbox: Sandbox): string[] {
  const ignored = /^(node_modules|dist|own|\.titan)(\/|$)/;
  const inCopy = filesUnder(sandbox.root).map((path) => relative(sandbox.root, path))
    .filter((path) => !ignored.test(path));
  const inTemp = readdirSync(sandbox.temp)
    .filter((name) => !/^(tsx-\d+|node-compile-cache)$/.test(name))
    .map((name) => `$TMPDIR/${name}`);
  return [...inCopy, ...inTemp];
}

/**
 * The environment of a program in a sandbox: nothing of npm, node flags, CI or a running Titan
 * leaks in.
 */
export function sandboxEnvironment(sandbox: Sandbox): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(npm_.*|INIT_CWD|NODE_.*|TITAN_.*|CI|FORCE_COLOR|GIT_.*|COLUMNS|TSX_.*)$/.test(name)) {
      env[name] = value;
    }
  }
  // Without the ceiling, `git apply` inside somebody's repository would skip our files without a
  // word.
  return {
    ...env,
    PATH: `${sandbox.bin}:${env["PATH"] ?? ""}`,
    NO_COLOR: "1",
    TERM: "dumb",
    LC_ALL: "C.UTF-8",
    TZ: "UTC",
    TMPDIR: sandbox.temp,
    [MARK]: sandbox.root,
    GIT_CEILING_DIRECTORIES: join(sandbox.root, ".."),
  };
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  /** Standard output; with `merge`, standard error in its place among it. */
  readonly output: string;
  readonly timedOut: boolean;
  /** True when the program ended and left a process of its group running (it is killed). */
  readonly survivors: boolean;
}

/** Output beyond this is cut: a runaway loop must not fill the memory of the gate. */
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/**
 * Once the program has ended its pipes close at once, unless something it started still holds
 * them. The grace is counted in turns of our own loop: one that was blocked for half a second has
 * not looked at the pipes meanwhile, and would blame a program that left nothing behind.
 */
const CLOSE_GRACE_TURNS = 25;
const TURN_MS = 10;

/** Runs a program in a sandbox. */
export function runIn(
  sandbox: Sandbox, argv: readonly string[], timeoutMs: number,
): Promise<Outcome> {
  const env = sandboxEnvironment(sandbox);
  return runProgram(argv, { cwd: sandbox.root, env, timeoutMs });
}

/** Runs a program in a process group of its own and kills the whole group at the deadline. */
export function runProgram(
  argv: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(argv[0] ?? "", argv.slice(1), {
      cwd: options.cwd, env: options.env, stdio: ["ignore", "pipe", "pipe"], detached: true,
    });
    openGroups.add(child);
    const chunks: Buffer[] = [];
    let size = 0;
    let timedOut = false;
    const collect = (chunk: Buffer): void => {
      if (size < OUTPUT_LIMIT_BYTES) chunks.push(chunk);
      size += chunk.length;
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const deadline = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, options.timeoutMs);
    let grace: NodeJS.Timeout | undefined;
    let held = false;
    child.on("exit", () => {
      let turns = 0;
      grace = setInterval(() => {
        if (++turns < CLOSE_GRACE_TURNS) return;
        clearInterval(grace);
        held = true;
        killGroup(child);
        child.stdout.destroy();
        child.stderr.destroy();
      }, TURN_MS);
    });
    const finish = (code: number | null, signal: string | null, extra = ""): void => {
      clearTimeout(deadline);
      clearInterval(grace);
      void groupEnded(child).then((ended) => {
        if (!ended) killGroup(child);
        openGroups.delete(child);
        const output = Buffer.concat(chunks).toString("utf8") + extra;
        resolve({ code, signal, output, timedOut, survivors: !timedOut && (!ended || held) });
      });
    };
    child.on("error", (error) => finish(null, null, error.message));
    child.on("close", finish);
  });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) kill(-pid);
}

function kill(target: number): void {
  try {
    process.kill(target, "SIGKILL");
  } catch {
    // ended meanwhile, or somebody else's
  }
}

/**
 * tsx's compiler process notices the end of its parent and follows within milliseconds: that is no
 * survivor.
 */
const SURVIVOR_GRACE_MS = 1000;
/**
 * A process that was killed is gone within milliseconds, unless the kernel writes its memory to
 * a slow disk.
 */
const KILL_MS = 2000;

/** Waits a moment for the last members of a group to go; false when some stay. */
async function groupEnded(child: ChildProcess): Promise<boolean> {
  if (child.pid === undefined) return true;
  for (const deadline = Date.now() + SURVIVOR_GRACE_MS; Date.now() < deadline; ) {
    if (!groupIsAlive(child.pid)) return true;
    await sleep(10);
  }
  return false;
}

function groupIsAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch {
    return false;
  }
  // Dead members that nobody has waited for still answer.
  const all = pids().map(statOf);
  return all.length === 0 || all.some((stat) => stat?.group === group && stat.isLiving);
}

/**
 * Processes started from a sandbox that are still there although their group is gone: they carry
 * its mark, or live in its folders. Linux only (`/proc`); elsewhere the group check above has to
 * do. They are killed.
 */
export function killStrays(sandbox: Sandbox): string[] {
  const base = join(sandbox.root, "..");
  const mark = `${MARK}=${sandbox.root}`;
  const isLiving = (pid: number): boolean => statOf(pid)?.isLiving ?? false;
  const found = pids().filter((pid) => pid !== process.pid && isLiving(pid)
    && (standsIn(pid, base) || textOf(pid, "environ").includes(mark)));
  const strays = found.map(commandOf);
  for (const pid of found) kill(pid);
  // A signal is not an end: on a busy machine the next look would find the same process again.
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; waited < KILL_MS && found.some(isLiving); waited += 5) {
    Atomics.wait(clock, 0, 0, 5);
  }
  return strays;
}

