/**
 * Waiting, as real processes need it: for a while, or until something is true.
 */
export async function untilTrue(
  what: () => boolean | Promise<boolean>, limitMs: number,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await what())) {
    if (performance.now() > end) {
      throw new Error(`Cannot go on with the run: still not true after ${limitMs} ms: ${what}`);
    }
    await pause(20);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
