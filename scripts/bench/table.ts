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
  const { atLeast = -Infinity, atMost = Infinity } = target;
  return value >= atLeast && value <= atMost ? "met" : "missed";
}

/** A whole number, as people write large ones. */
export const grouped = (value: number): string => Math.round(value).toLocaleString("en-US");

export function show(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1000 ? grouped(value) : Number(value.toPrecision(3)).toString();
}

const HEAD = ["group", "measurement", "value", "unit", "target", "", "note"];
/** The only one that is set flush right. */
const VALUE = HEAD.indexOf("value");

export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    const { atLeast, atMost } = row.target ?? {};
    const target = atLeast !== undefined ? `≥ ${show(atLeast)}`
      : atMost !== undefined ? `≤ ${show(atMost)}` : "";
    return [row.group, row.name, show(row.value), row.unit, target, verdict(row), row.note ?? ""];
  });
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string => row.map((cell, column) =>
    column === VALUE ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))
    .join("  ").trimEnd();
  const rule = widths.map((width) => "─".repeat(width)).join("  ");
  return [line(HEAD), rule, ...cells.map(line)].join("\n");
}

/** The value at a fraction of a sorted list. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

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

/** Milliseconds that something takes. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** How many a second, of so many. */
export async function rate(count: number, work: () => unknown): Promise<number> {
  return (count / (await timed(work))) * 1000;
}

/** Milliseconds of each of as many, one after the other, as there is time for. */
export async function timesWithin(ms: number, once: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end;) times.push(await timed(once));
  return times;
}
