/**
 * Lesson 10: why a master does not start: what was being done, and what the system said.
 *
 * Test: test/10-master.start.test.ts
 */

export class MasterError extends Error {
  readonly code:
    | "LOCKED" | "ADDRESS_IN_USE" | "UNSAFE_ADDRESS" | "START_FAILED" | "NEEDS_MEMORY";
  constructor(code: MasterError["code"], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "MasterError";
    this.code = code;
  }
}

/**
 * One step of a start. The system names a file at best, and never what it was for.
 *
 * @throws {MasterError} START_FAILED for an error of the system; what else `work` throws
 */
export async function startStep<T>(
  step: { dir: string; doing: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const text = systemText(error);
    if (text === undefined) throw error;
    throw new MasterError(
      "START_FAILED",
      `Cannot start master on ${step.dir}: cannot ${step.doing}: ${text}`,
      error,
    );
  }
}

/** "no space left on device (ENOSPC)". Undefined: not an error of the system. */
function systemText(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  if (
    !(error instanceof Error) ||
    error instanceof MasterError ||
    typeof code !== "string" ||
    !/^E[A-Z0-9]+$/.test(code) ||
    code === "ELOCKED"
  ) {
    return undefined;
  }
  const [, what, call, path] = /^E[A-Z0-9]+: ([^,]+)(, \w+)?( '.*')?/.exec(error.message) ?? [];
  const where = call === undefined || path === undefined ? "" : `${call}${path}`;
  return `${what ?? error.message} (${code}${where})`;
}
