/**
 * Lesson 11: the reaper, a process that stays behind when we die.
 *
 * A process that is killed with SIGKILL cleans nothing up. So one tiny `sh` per Titan process holds
 * the reading end of a pipe from us and the list of process groups we started. When we die, for
 * whatever reason, the system closes our end; the reaper reads the end of the file, kills every
 * group on its list, then every process whose environment names one of our work folders (a daemon
 * that left its group), removes the folder where pipes have names for a moment, and exits.
 *
 *     us ──▶ "+ 4711"  a group              "= /tmp/w/jobs"          a work folder
 *            "- 4711"  it is gone           "% /tmp/titan-pipes-…"   names of pipes (pipes.ts)
 *
 * Invariant: a group is on the list before its first job starts. It is taken off as soon as it has
 * ended, so only by rare chance could its number be in use again by then.
 * Left out: the reaper being killed together with us. Then the next worker finds our processes by
 * the journal (journal.ts, lesson 12).
 * Test: test/11-worker.processes.test.ts
 */
import { spawn, type ChildProcess } from "node:child_process";
import { noteGone, noteGroup } from "./journal.ts";

// #region reaper
const SCRIPT = `
trap '' TERM INT HUP
groups=
folders=
pipes=
while read -r what name; do
  case $what in
    +) groups="$groups $name" ;;
    -) rest=
       for g in $groups; do [ "$g" = "$name" ] || rest="$rest $g"; done
       groups=$rest ;;
    =) folders="$folders
TITAN_WORKDIR=$name/" ;;
    %) pipes=$name ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g"; done
if [ -n "$folders" ] && [ -r /proc/self/environ ]; then
  folders=\${folders#?}
  for file in $(grep -lF -e "$folders" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}
    kill -s KILL "\${pid%/environ}"
  done
fi
[ ! -e "$pipes" ] || rm -rf -- "$pipes"
`;
// #endregion

let reaper: ChildProcess | undefined;
const groups = new Set<number>();
const folders = new Set<string>();
let pipes: string | undefined;

/** From now on the group dies with this process. */
export function reap(group: number): void {
  groups.add(group);
  noteGroup(group);
  tell(`+ ${group}\n`);
}

/** The group is gone already. */
export function release(group: number): void {
  if (!groups.delete(group)) return;
  noteGone(group);
  tell(`- ${group}\n`);
}

/** Processes whose `TITAN_WORKDIR` lies in this folder die with this process too. */
export function reapFolder(folder: string): void {
  if (folders.has(folder) || folder.includes("\n")) return;
  folders.add(folder);
  tell(`= ${folder}\n`);
}

/** This folder, if it exists when this process dies, is removed. */
export function reapPipes(folder: string): void {
  if (folder.includes("\n")) return;
  pipes = folder;
  tell(`% ${folder}\n`);
}

/** The reaper's pid, while there is one. */
export function reaperPid(): number | undefined {
  return reaper?.pid;
}

function tell(line: string): void {
  if (reaper === undefined) start();
  else reaper.stdin?.write(line);
}

function start(): void {
  // The reaper has a session of its own: a signal to our group, or the end of our terminal, does
  // not reach it.
  const child = spawn("/bin/sh", ["-c", SCRIPT], {
    detached: true,
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
  });
  reaper = child;
  const lost = () => {
    if (reaper === child) reaper = undefined;
    if (groups.size > 0 && child.pid !== undefined) start();
  };
  child.once("exit", lost);
  child.once("error", lost);
  // Without a descriptor for it there is no stdin. The next group tries again.
  const stdin = child.stdin as typeof child.stdin | undefined;
  stdin?.on("error", () => {});
  child.unref();
  // Bun's stream has no `unref`, and keeps no loop alive.
  (stdin as unknown as { unref?(): void } | undefined)?.unref?.();
  stdin?.write(
    (pipes === undefined ? "" : `% ${pipes}\n`) + [...groups].map((g) => `+ ${g}\n`).join("") +
      [...folders].map((f) => `= ${f}\n`).join(""),
  );
}
