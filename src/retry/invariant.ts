/** What only a bug in the caller can break. Bad input is refused long before it gets here. */
export function invariant(ok: boolean, why: string): asserts ok {
  if (!ok) throw new Error(`Retry invariant broken: ${why}`);
}
