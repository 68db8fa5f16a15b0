/**
 * Lesson 03: how many files and sockets this process may have open at a time.
 *
 * Linux tells it in a file, other systems only in Node's own report. (Node raises the soft limit to
 * the hard one when it starts, so this is what `ulimit -Hn` says.)
 *
 * Test: test/03-host.test.ts
 */
import { readFileSync } from "node:fs";

/** The limit of an ordinary shell, for a system that does not tell its own. */
const USUAL_LIMIT = 1024;

/** @param file where Linux says it; another one is for tests */
export function descriptorLimit(file = "/proc/self/limits"): number {
  return fromProc(file) ?? fromReport() ?? USUAL_LIMIT;
}

/** `Max open files            1024                 524288               files`: soft, then hard. */
function fromProc(file: string): number | undefined {
  try {
    return numberOf(/^Max open files\s+(\S+)/m.exec(readFileSync(file, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

function fromReport(): number | undefined {
  const { report } = process;
  if (report === undefined) return undefined;
  // Without this the report looks up the names of all peers.
  Object.assign(report, { excludeNetwork: true });
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  return numberOf(String(userLimits?.open_files?.soft));
}

function numberOf(text: string | undefined): number | undefined {
  if (text === "unlimited") return Number.MAX_SAFE_INTEGER;
  const value = Number(text);
  return Number.isInteger(value) && value > 0 ? value : undefined;
}
