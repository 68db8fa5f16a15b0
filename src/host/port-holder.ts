/**
 * Lesson 14: who listens on a port of this machine, as far as the system tells.
 *
 *     /proc/net/tcp      port ─▶ inode of the listening socket
 *     /proc/PID/fd/*     inode ─▶ process
 *
 * Linux lets a user look at the descriptors of its own processes only. Elsewhere nobody is named.
 *
 * Invariant: reads, and changes nothing; a process that goes away meanwhile is passed over.
 * Test: test/14-services.exec.test.ts
 */
import { readdir, readFile, readlink } from "node:fs/promises";

/** The state of a socket that listens, as /proc/net/tcp has it. */
const LISTENS = "0A";
const MAX_COMMAND_CHARS = 60;

/** `pid 4711 (python3 server.py)`; undefined: it cannot be known. */
export async function portHolder(port: number): Promise<string | undefined> {
  const inodes = new Set<string>();
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const table = await readFile(file, "latin1").catch(() => "");
    for (const line of table.split("\n")) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state !== LISTENS || parseInt(local.split(":")[1] ?? "", 16) !== port) continue;
      inodes.add(`socket:[${inode}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of await namesIn("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of await namesIn(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (inodes.has(target)) return `pid ${pid}${await commandOf(pid)}`;
    }
  }
  return undefined;
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function commandOf(pid: string): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const text = line.replaceAll("\0", " ").trim();
  const short = text.length > MAX_COMMAND_CHARS ? `${text.slice(0, MAX_COMMAND_CHARS)}…` : text;
  return short === "" ? "" : ` (${short})`;
}
