/**
 * Lesson 14: one health check of a service on this machine.
 *
 *     tcp       dial 127.0.0.1:PORT ─▶ taken
 *     http      dial, GET path ─▶ "HTTP/1.1 2xx"
 *     command   a program beside the service ─▶ exit 0
 *
 * Invariants: a check ends within its timeout, whatever the service does; it never rejects, because
 * a check that fails is an answer.
 * Test: test/14-services.worker.test.ts
 */
import { durationText } from "#base";
import type { Running } from "#exec";
import type { Host, Socket } from "#host";
import { checkRequest, StatusLine } from "#services";
import type { HealthCheck } from "#wire";

/** A service on this machine is asked where programs of this machine reach it. */
const LOOPBACK = "127.0.0.1";

export interface CheckTarget {
  readonly host: Host;
  readonly port: number;
  readonly running: Running;
}

/** Why it is not healthy, in words; undefined: it is. */
export async function checkHealth(
  check: HealthCheck, target: CheckTarget, timeoutMs: number,
): Promise<string | undefined> {
  if (check.type === "command") {
    return target.running.check?.(check.argv, timeoutMs) ?? "this worker cannot run checks";
  }
  const { host, port } = target;
  const until = host.clock.monotonic() + timeoutMs;
  let socket: Socket;
  try {
    socket = await host.network.dial({ host: LOOPBACK, port }, { timeoutMs });
  } catch (error) {
    const { code = "", message } = error as { code?: string; message: string };
    if (code === "ECONNREFUSED") return `nothing listens on port ${port}`;
    return code === "ETIMEDOUT" ? late(timeoutMs) : `port ${port} cannot be reached (${message})`;
  }
  if (check.type === "tcp") {
    socket.handle({ onData: () => undefined, onClose: () => undefined });
    socket.destroy();
    return undefined;
  }
  const leftMs = Math.max(1, until - host.clock.monotonic());
  return ask(socket, { path: check.path, target, leftMs, timeoutMs });
}

function late(timeoutMs: number): string {
  return `no answer within ${durationText(timeoutMs)}`;
}

function ask(
  socket: Socket,
  how: { path: string; target: CheckTarget; leftMs: number; timeoutMs: number },
): Promise<string | undefined> {
  const { path, target, leftMs, timeoutMs } = how;
  const line = new StatusLine();
  return new Promise((resolve) => {
    const end = (why: string | undefined): void => {
      timer.cancel();
      resolve(why);
      socket.destroy();
    };
    const timer = target.host.timers.after(leftMs, () => end(late(timeoutMs)));
    socket.handle({
      onData: (bytes) => {
        const found = line.push(bytes);
        if (found === undefined) return;
        if (typeof found === "string") return end(found);
        end(found >= 200 && found < 300 ? undefined : `GET ${path} answered ${found}`);
      },
      onClose: () => end(`GET ${path} was not answered: the connection was closed`),
    });
    socket.write(checkRequest(path, target.port));
  });
}
