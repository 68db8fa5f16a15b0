/**
 * Lesson 14: the check program of a service: it runs beside the service, and not for long.
 *
 * Invariants: resolves once the program is gone, which is at the latest soon after its time is up
 * or the service has ended; nothing that it prints is kept.
 * Test: test/14-services.exec.test.ts
 */
import type { Child, Exit, WorkerHost } from "#host";
import { durationText } from "./types.ts";

export interface CheckOptions {
  readonly host: WorkerHost;
  readonly argv: readonly string[];
  readonly timeoutMs: number;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The service has ended: its check ends, too. */
  readonly ended: Promise<unknown>;
}

/** Why the check failed; undefined: it passed. Never rejects. */
export function runCheck(options: CheckOptions): Promise<string | undefined> {
  const { host, argv, timeoutMs, cwd } = options;
  return new Promise((resolve) => {
    let why: string | undefined;
    let child: Child | undefined;
    // After its end nobody reads the reason, and a signal is for nobody.
    const stop = (reason: string): void => {
      why = reason;
      child?.signal("SIGKILL");
    };
    const timer = host.timers.after(timeoutMs, () =>
      stop(`${argv[0]} took longer than ${durationText(timeoutMs)}`));
    void options.ended.then(() => stop("the service has ended"));
    // A name of its own: when a check has ended, what is left of it is swept, and not the service.
    const env = { ...options.env, TITAN_JOB: `${options.env["TITAN_JOB"]}/healthcheck` };
    child = host.processes.spawn({
      argv, cwd, env,
      onOutput: () => undefined,
      onExit: (exit) => {
        timer.cancel();
        resolve(why ?? whyFailed(argv[0] ?? "", exit));
      },
    });
  });
}

function whyFailed(name: string, { code, signal, error }: Exit): string | undefined {
  if (error !== undefined) return error.message;
  if (signal !== null) return `${name} was ended by ${signal}`;
  return code === 0 ? undefined : `${name} exited with code ${code}`;
}
