/** Sums over many lives. */
import type { Outcome } from "#simulation";

/** The parts of a life that are sent from process to process. */
export type Summary = Omit<Outcome, "trace">;

export function summaryOf({ trace: _lines, ...rest }: Outcome): Summary {
  return rest;
}

export class Totals {
  lives = 0;
  virtualMs = 0;
  events = 0;
  readonly faults: Record<string, number> = {};
  readonly stats: Record<string, number> = {};
  readonly broken: Summary[] = [];

  add(life: Summary): void {
    this.lives += 1;
    this.virtualMs += life.virtualMs;
    this.events += life.events;
    addTo(this.faults, life.faults);
    addTo(this.stats, life.stats);
    if (life.violation !== undefined) this.broken.push(life);
  }

  /** `elapsedMs` of real time. */
  lines(elapsedMs: number): string[] {
    const seconds = elapsedMs / 1000;
    const counts = Object.entries(this.stats)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${grouped(count)} ${name}`);
    const faults = Object.entries(this.faults)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${grouped(count)} ${name}`);
    const all = Object.values(this.faults).reduce((sum, count) => sum + count, 0);
    return [
      `${grouped(this.lives)} ${this.lives === 1 ? "life" : "lives"} in ${seconds.toFixed(1)} s ` +
        `(${(this.lives / Math.max(seconds, 0.001)).toFixed(1)} a second), ` +
        `${(this.virtualMs / 3_600_000).toFixed(2)} hours of virtual time, ` +
        `${grouped(this.events)} steps`,
      ...wrapped("seen   ", counts),
      ...wrapped(`${grouped(all)} ${all === 1 ? "fault" : "faults"}: `, faults),
      this.broken.length === 0
        ? "nothing broke"
        : `${this.broken.length} broke: ${this.broken
            .slice(0, 20)
            .map(({ seed, violation }) => `${seed} (${violation!.invariant})`)
            .join(", ")}`,
    ];
  }
}

function addTo(sums: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + count;
}

const grouped = (count: number): string => count.toLocaleString("en-US");

const WIDTH = 110;

function wrapped(head: string, items: readonly string[]): string[] {
  const lines: string[] = [];
  let line = head;
  for (const [index, item] of items.entries()) {
    const text = index < items.length - 1 ? `${item}, ` : item;
    if (line.length + text.length > WIDTH) {
      lines.push(line.trimEnd());
      line = "       ";
    }
    line += text;
  }
  return items.length === 0 ? [] : [...lines, line];
}
