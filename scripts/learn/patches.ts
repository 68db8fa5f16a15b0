/**
 * Patches with a head, as those of sabotages (breaks.ts) and of planted bugs (scripts/sim/bugs.ts)
 * have it:
 *
 *     Title: The torn tail stays
 *     Why: What is appended after half a record is behind garbage
 *      at the next start.                                         a long value is folded
 *
 *     --- a/src/log/open.ts
 *     …
 */
export interface Patch {
  readonly fields: ReadonlyMap<string, string>;
  readonly diff: string;
}

export function readPatch(text: string): Patch {
  const cut = text.search(/\n\s*\n/);
  const fields = new Map<string, string>();
  let last = "";
  for (const line of text.slice(0, cut).split("\n")) {
    const [, name, value = ""] = /^([A-Z][a-z]+):\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined) fields.set((last = name), value.trim());
    else if (last !== "") fields.set(last, `${fields.get(last)} ${line.trim()}`.trim());
  }
  return { fields, diff: text.slice(cut).trimStart() };
}

/** The lines that are put in or taken out, below the names of their files. */
export function changedLines(diff: string): string[] {
  return diff.split("\n").filter((line) => /^(\+\+\+ b\/|[-+](?![-+]))/.test(line))
    .map((line) => (line.startsWith("+++ ") ? `  ${line.slice("+++ b/".length)}` : `    ${line}`));
}
