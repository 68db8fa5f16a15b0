/**
 * The program of the thread that reads the log for those who look back. Only past-reader.ts starts
 * it.
 *
 *     owner ──▶ {id, kind, body, until}     a question, its body as on the wire
 *     owner ◀── {id, pages | error}         its answer
 *     owner ──▶ "stop"                      no more answers; files are closed, the thread ends
 *
 * Invariants: questions are answered in order; nothing is written to the folder.
 * Test: test/cli.past-thread.test.ts
 */
import { parentPort, workerData } from "node:worker_threads";
import { answerHistory, History } from "#history";
import { nodeHost } from "#host";
import type { PastQuestion } from "#master";

export type ToPast = { readonly id: number } & PastQuestion;

/** What the thread is told at its start. */
export interface PastWork {
  readonly dir: string;
  readonly checkpointBytes: number;
}

/** As much of an error as travels. */
export interface PastError {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export type FromPast =
  | { readonly id: number; readonly pages: Buffer[] }
  | { readonly id: number; readonly error: PastError };

const owner = parentPort!;
const { dir, checkpointBytes } = workerData as PastWork;
const history = new History(nodeHost(), dir, { maxBytes: checkpointBytes });

owner.on("message", (message: ToPast | "stop") => {
  if (message === "stop") {
    owner.close();
    return void history.close();
  }
  const { id, body, ...question } = message;
  // The bytes come as a bare array.
  answerHistory(history, { ...question, body: Buffer.from(body) }).then(
    (pages) => owner.postMessage({ id, pages } satisfies FromPast),
    (error: Error & { code?: string }) => {
      const { name, code = "", message } = error;
      owner.postMessage({ id, error: { name, code, message } } satisfies FromPast);
    },
  );
});
