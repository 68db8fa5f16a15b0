/**
 * Lesson 05: a list of what recovery has cut, ignored or been told to accept, for people who ask
 * later.
 *
 *     RECOVERIES      a line each, the oldest first:
 *     2026-11-26T15:04:05.000Z cut 44 bytes of 0000000000000001.seg, behind record 120
 *     2026-11-26T15:09:00.000Z lost the header of 0000000000000001.seg …
 *
 * Invariants: the file is replaced atomically; a log never fails to open because this file is
 * damaged or because the disk is full.
 * Left out: more than MAX_KEPT lines. The oldest cuts are forgotten first; losses stay.
 * Test: test/05-log.lost.test.ts
 */
import type { Host, Storage } from "#host";
import { replaceFile } from "./format.ts";
import { hasNoRoom } from "./room.ts";

export const RECOVERIES = "RECOVERIES";

/** A person who has not replaced the disk after twenty accidents needs no longer list. */
export const MAX_KEPT = 20;

export interface PastRecovery {
  /** Milliseconds since 1970. */
  readonly at: number;
  /**
   * `cut`: an unfinished write, which nobody was promised. `ignored`: damage that something else
   * makes good. `lost`: acknowledged records may be gone.
   */
  readonly kind: "cut" | "ignored" | "lost";
  /** For people, behind the kind. */
  readonly what: string;
}

const LINE = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (cut|ignored|lost) (.+)$/;

/** Oldest first. Lines of any other form are passed over. */
export async function readRecoveries(storage: Storage, dir: string): Promise<PastRecovery[]> {
  if ((await storage.stat(`${dir}/${RECOVERIES}`))?.kind !== "file") return [];
  const text = (await storage.readFile(`${dir}/${RECOVERIES}`)).toString("utf8");
  const found: PastRecovery[] = [];
  for (const line of text.split("\n")) {
    const [, time = "", kind = "", what = ""] = LINE.exec(line) ?? [];
    const at = Date.parse(time);
    if (Number.isFinite(at)) found.push({ at, kind: kind as PastRecovery["kind"], what });
  }
  return found;
}

/**
 * Adds to the list. On a full disk nothing is added: the log opens all the same, and its owner has
 * been told.
 */
export async function noteRecovery(
  host: Host,
  dir: string,
  news: readonly Omit<PastRecovery, "at">[],
): Promise<void> {
  if (news.length === 0) return;
  const at = host.clock.wall();
  const all = await readRecoveries(host.storage, dir);
  for (const one of news) {
    // Damage that is ignored is found again at each start.
    const last = all.at(-1);
    if (one.kind !== "ignored" || last?.kind !== "ignored" || last.what !== one.what) {
      all.push({ at, ...one });
    }
  }
  while (all.length > MAX_KEPT) {
    const oldestCut = all.findIndex(({ kind }) => kind === "cut");
    all.splice(Math.max(0, oldestCut), 1);
  }
  const lines = all.map(
    (one) => `${new Date(one.at).toISOString()} ${one.kind} ${one.what.replace(/\s+/g, " ")}\n`,
  );
  try {
    await replaceFile(host.storage, dir, { name: RECOVERIES, bytes: Buffer.from(lines.join("")) });
  } catch (error) {
    if (!hasNoRoom(error)) throw error;
    await host.storage.remove(`${dir}/${RECOVERIES}.tmp`);
  }
}
