/**
 * The things that could keep `titan up` from starting: a port that is taken, a state folder that is
 * in use. For `titan doctor`.
 *
 * Invariants: looking changes nothing: no lock is taken, and a port is held for an instant at most.
 * Test: test/cli.doctor.test.ts
 */
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { lockHolder } from "#host";
import { DEFAULT_MASTER } from "./address.ts";

export type Level = "ok" | "warn" | "fail";

export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly found: string;
  readonly advice?: string;
}

/** A store on this machine answers faster than this; any other program may never answer. */
const ANSWER_MS = 500;

/**
 * Undefined: nobody uses the folder, or it belongs to the master that we have asked already
 * (`known`: that master's folder).
 */
export async function checkLock(
  dir: string,
  known: string | undefined,
): Promise<Finding | undefined> {
  if (dir === known) return undefined;
  // The check of the folder has told already what cannot be read.
  const pid = await lockHolder(join(dir, "lock")).catch(() => undefined);
  if (pid === undefined) return undefined;
  const port = portOf(pid);
  const where = port === undefined ? "" : `, a master at ${DEFAULT_MASTER.host}:${port}`;
  const use =
    port === undefined
      ? "use that master"
      : `TITAN_MASTER=${DEFAULT_MASTER.host}:${port} uses that master`;
  return {
    check: "lock",
    level: "warn",
    found: `${dir} is in use by process ${pid}${where}: titan up cannot start on it`,
    advice: `${use}, stopping process ${pid} frees the folder, --state DIR takes another one`,
  };
}

/** The port on the command line of a process, where the system shows it; it may have said "any". */
function portOf(pid: number): number | undefined {
  let words: string[];
  try {
    words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return undefined;
  }
  // A cluster for one run, or a program of somebody else that has a master inside.
  if (!words.includes("up") && !words.includes("master")) return undefined;
  const at = words.findIndex((word) => word === "--port" || word.startsWith("--port="));
  if (at < 0) return DEFAULT_MASTER.port;
  const text = words[at] === "--port" ? words[at + 1] : words[at]!.slice("--port=".length);
  return Number(text) > 0 ? Number(text) : undefined;
}

/** Undefined: the port is free. Otherwise the system's word for the reason. */
export function whyPortTaken(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, DEFAULT_MASTER.host, () => server.close(() => resolve(undefined)));
  });
}

/** The store of `titan up` has a port of its own, and nothing starts without that port. */
export async function checkStorePort(port: number): Promise<Finding | undefined> {
  const taken = await whyPortTaken(port);
  if (taken === undefined) return undefined;
  const isStore = await speaksResp(port);
  const what = isStore ? "a store or a Redis" : "another program";
  const use = isStore ? `--store redis://${DEFAULT_MASTER.host}:${port} uses that one, ` : "";
  return {
    check: "store",
    level: "warn",
    found: `${port} is in use by ${what} (${taken}): titan up cannot start its store there`,
    advice: `titan up ${use}--store-port PORT takes another port, --no-store does without`,
  };
}

/** Whether PING is answered as Redis does, password or no password. */
function speaksResp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: DEFAULT_MASTER.host, port });
    const end = (answer: boolean): void => {
      resolve(answer);
      socket.destroy();
    };
    socket.setTimeout(ANSWER_MS, () => end(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (bytes) => end(/^(?:\+PONG|-NOAUTH)/.test(bytes.toString("latin1"))));
    socket.once("error", () => end(false)).once("close", () => end(false));
  });
}
