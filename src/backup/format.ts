/**
 * Lesson 24: a backup is a tar archive in gzip. `tar tzvf` lists it, and `sha256sum -c` checks it.
 *
 *     titan-backup.json                what it is: format, versions, when, the hash of the state
 *     log/…  store/log/…               the logs; each MANIFEST behind the files that it lists
 *     blobs/<sha256>                   projects and artifacts that the log knows
 *     output/<run>/<job>.<attempt>     what their jobs have printed; a service's files go on with
 *                                      .1, .2 and so on
 *     cluster                          the id of the cluster
 *     SHA256SUMS                       of all of these; the last entry: without it the file is torn
 *
 * Invariant: nothing else is in it, so no entry can lead out of the folder that it is restored to.
 * Test: test/24-packaging.backup.test.ts
 */

export const INFO = "titan-backup.json";
export const FORMAT = 1;

export interface BackupInfo {
  readonly format: number;
  /** The Titan that made it. */
  readonly titan: string;
  /** ISO 8601. */
  readonly at: string;
  /** SHA-256 (hex) of the master's state. */
  readonly stateHash: string;
  /** The last event that is in it. */
  readonly lastEvent: number;
  readonly runs: number;
}

const LOG_FILE = String.raw`(?:MANIFEST|RECOVERIES|\d{16}\.(?:seg|snap))`;
const ALLOWED = new RegExp(
  String.raw`^(?:log/${LOG_FILE}|store/log/${LOG_FILE}|blobs/[0-9a-f]{64}|` +
    String.raw`output/\d{1,16}/\d{1,16}\.\d{1,16}(?:\.\d{1,16})?|cluster)$`,
);

/** Whether a backup may hold this, apart from its own two files. */
export function mayHold(path: string): boolean {
  return ALLOWED.test(path);
}

/** Undefined: it is no such thing. */
export function readInfo(bytes: Buffer): BackupInfo | undefined {
  try {
    const info = JSON.parse(bytes.toString("utf8")) as BackupInfo;
    return typeof info.format === "number" && typeof info.stateHash === "string" ? info : undefined;
  } catch {
    return undefined;
  }
}
