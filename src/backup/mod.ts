/**
 * Lesson 24: a state folder as one file, and back.
 *
 *     format.ts    what is in the file, and the names that it may hold
 *     state.ts     the state that a log stands for, its hash, and the files that it needs
 *     backup.ts    a copy beside a running master
 *     restore.ts   a folder from a copy
 *     errors.ts    what can go wrong
 *
 * Invariants: a backup appears whole under its name or not at all, and so does a restored folder;
 * the state that is restored has the hash that the backup says.
 * Left out: what changed since the last backup; encryption (a backup holds what the log holds:
 * environments of jobs, and with them perhaps secrets).
 * Test: test/24-packaging.backup.test.ts
 */
export { makeBackup, type BackupReport } from "./backup.ts";
export { BackupError } from "./errors.ts";
export { restoreBackup, type RestoreReport } from "./restore.ts";
