/**
 * Errors of the file system, in words.
 *
 * Test: test/cli.text.test.ts
 */

/** Words for these codes of the system. Other codes keep the system's text. */
const FILE_TROUBLES: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  EROFS: "the disk is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of the path is no folder",
  EEXIST: "it is in the way",
};

/** Why the file system refused, in words where there are some. */
export function fileReason(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return FILE_TROUBLES[code] ?? message;
}
