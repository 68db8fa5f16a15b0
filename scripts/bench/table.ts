/**
 * The benchmark table: rows of figures, with a target where there is one, and an honest verdict.
 */

export interface Row {
  readonly group: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The project's aim, with the direction that is better. */
  readonly target?: { readonly atLeast?: number; readonly atMost?: number };
  readonly note?: string;
}

type More = Pick<Row, "target" | "note">;

/** Makes the rows of a group. */
export function rowOf(
  group: string,
): (name: string, figure: readonly [value: number, unit: string], more?: More) => Row {
  return (name, [value, unit], more = {}) => ({ group, name, value, unit, ...more });
}

export function verdict({ value, target }: Row): "met" | "missed" | "" {
  if (target === undefined) return "";
  const ok =
    (target.atLeast === undefined || value >= target.atLeast) &&
    (target.atMost === undefined || value <= target.atMost);
  return ok ? "met" : "missed";
}

export function show(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}

export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    const { atLeast, atMost } = row.target ?? {};
    const target =
      atLeast !== undefined
        ? `≥ ${show(atLeast)}`
        : atMost !== undefined
          ? `≤ ${show(atMost)}`
          : "";
    return [row.group, row.name, show(row.value), row.unit, target, verdict(row), row.note ?? ""];
  });
  const head = ["group", "measurement", "value", "unit", "target", "", "note"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]!.length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 2 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...cells.map(line)].join(
    "\n",
  );
}

/** The value at a fraction of a sorted list: 0.5 is the median. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

/**
 * The best of some rounds, because on a shared machine every disturbance makes a figure worse and
 * none makes it better.
 */
export async function best(
  rounds: number,
  measure: () => number | Promise<number>,
  better: (a: number, b: number) => number = Math.max,
): Promise<number> {
  let result = await measure();
  for (let round = 1; round < rounds; round++) result = better(result, await measure());
  return result;
}
