// @ts-check
/**
 * Other processes, as Linux shows them in /proc. One that ends meanwhile, or belongs to somebody
 * else, says nothing; elsewhere there are none.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The kernel's unit, the same on every platform of Linux that Node runs on. */
const MS_PER_TICK = 10;

/** @returns {number[]} */
export function pids() {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  } catch {
    return [];
  }
}

/** @param {number} pid @param {"cmdline" | "environ" | "stat" | "status"} file */
export function textOf(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/**
 * @param {number} pid
 * @returns {{ isLiving: boolean, parent: number, group: number, cpuMs: number } | undefined}
 *   `isLiving`: false also for one that nobody has waited for yet, as a container's process 1 may
 *   never do; `cpuMs`: its own
 */
export function statOf(pid) {
  // pid (name) state parent group …; the name may hold anything, so count from its closing bracket.
  const text = textOf(pid, "stat");
  if (text === "") return undefined;
  const [state, parent, group, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    isLiving: state !== "Z" && state !== "X", parent: Number(parent), group: Number(group),
    cpuMs: (Number(rest[8]) + Number(rest[9])) * MS_PER_TICK,
  };
}

/** @param {number} pid @returns {string} empty for one that has ended */
export const commandOf = (pid) => textOf(pid, "cmdline").replaceAll("\0", " ").trim();

/** @param {number} pid @returns {number} mebibytes that are resident */
export const residentMib = (pid) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(textOf(pid, "status"))?.[1]) / 1024;

/** Whether it stands in a folder. @param {number} pid @param {string} folder */
export function standsIn(pid, folder) {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
  } catch {
    return false;
  }
}
