/**
 * Chooses the master that a command talks to, and opens a session with it.
 *
 * A master that is named by `--master` or TITAN_MASTER must answer: a script that names a master
 * never gets another one by accident.
 *
 * Test: test/cli.test.ts
 */
import { VERSION } from "#host";
import type { Address } from "#host";
import { hostPort } from "#base";
import type { ConnectOptions, RunCalls } from "#calls";
import type { Client } from "#sdk";
import { whyUnreached } from "#wire";
import type { Call } from "./command.ts";
import { CliError, EXIT } from "./exit.ts";
import { DEFAULT_MASTER, namedMaster, tokenOf } from "./named-master.ts";

export { DEFAULT_MASTER, namedMaster, parseAddress, tokenOf } from "./named-master.ts";

/** A person waits. A master on the other side of the earth answers in a third of a second. */
const CONNECT_MS = 5000;

/**
 * A session with the master that was named, or with the one at the default port. It is closed when
 * the command ends.
 */
export async function openMaster(call: Call): Promise<RunCalls> {
  const { openCalls } = await import("#calls"); // only now: help and validate need no network
  return opened(call, { open: openCalls, master: namedMaster(call) ?? DEFAULT_MASTER });
}

/** The same for a command that submits, watches or carries bytes, which takes more modules. */
export function openClient(call: Call): Promise<Client> {
  return dial(call, namedMaster(call) ?? DEFAULT_MASTER);
}

/** How to open a session again after the first one broke. */
export function dialer(
  call: Call,
  master: Address = namedMaster(call) ?? DEFAULT_MASTER,
  token = tokenOf(call),
): () => Promise<Client> {
  return () => dial(call, master, token);
}

/** @throws {CliError} UNREACHABLE when nothing answers, or something that is not a master */
export async function dial(call: Call, master: Address, token = tokenOf(call)): Promise<Client> {
  const { connect } = await import("#sdk");
  return opened(call, { open: connect, master, token });
}

interface Wanted<Session> {
  readonly open: (options: ConnectOptions) => Promise<Session>;
  readonly master: Address;
  readonly token?: string | undefined;
}

async function opened<Session extends { close(): void }>(
  call: Call, { open, master, token = tokenOf(call) }: Wanted<Session>,
): Promise<Session> {
  const { context: { host } } = call;
  let session: Session;
  try {
    session = await open({ host, master, token, version: VERSION, timeoutMs: CONNECT_MS });
  } catch (error) {
    throw unreachable(master, error) ?? error;
  }
  call.context.onExit(() => session.close());
  return session;
}

/**
 * Puts the error into words: nothing is there, or it is not a master. Undefined: a master answered,
 * and refused.
 */
export function unreachable(master: Address, error: unknown): CliError | undefined {
  const cause = (error as Error).name === "ConnectError" ? (error as Error).cause : error;
  const why = whyUnreached(cause);
  if (why === undefined) return undefined;
  // Something answers at this address, so advice about other addresses would only mislead.
  const answered = /^(?:RpcError|CodecError|FramingError)$/.test((cause as Error).name);
  const help = "titan up starts one; --master HOST:PORT or TITAN_MASTER names another";
  const advice = answered ? undefined : help;
  const message = `Cannot reach the master at ${hostPort(master)}: ${why}`;
  return new CliError(EXIT.UNREACHABLE, message, { advice, cause });
}
