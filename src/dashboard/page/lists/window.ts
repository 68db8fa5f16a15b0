/**
 * Lesson 19: which rows of a long list are on the screen.
 *
 *     ┌ a box as high as all rows ┐
 *     │          …                │  scrollTop
 *     │ ┌ rows that exist ──────┐ │
 *     │ └───────────────────────┘ │
 *     └───────────────────────────┘
 *
 * Browsers do not make boxes higher than some 16 million pixels. A longer list is scrolled by
 * shares: half of the way down is the middle row.
 *
 * Test: test/19-dashboard.run.logs.test.ts
 */
export interface RowWindow {
  /** The first row that exists, and the one behind the last. */
  readonly first: number;
  readonly end: number;
  /** Where the first one stands in the box, in pixels. */
  readonly top: number;
  /** Of the box. */
  readonly height: number;
}

const MAX_HEIGHT = 8_000_000;
/** Rows above and below the screen, for a wheel that is faster than a frame. */
const SPARE = 20;

export function rowWindow(list: {
  rows: number; rowHeight: number; scrollTop: number; screen: number;
}): RowWindow {
  const { rows, rowHeight, screen } = list;
  const whole = rows * rowHeight;
  const height = Math.min(whole, MAX_HEIGHT);
  const scrollTop = Math.max(0, Math.min(list.scrollTop, height - screen));
  const hidden = Math.max(0, height - screen);
  const scale = hidden === 0 ? 1 : (whole - screen) / hidden;
  const at = scrollTop * scale;
  const first = Math.max(0, Math.floor(at / rowHeight) - SPARE);
  const end = Math.min(rows, Math.ceil((at + screen) / rowHeight) + SPARE);
  return { first, end, top: scrollTop - (at - first * rowHeight), height };
}

/** The scrollTop that brings a row to the middle. */
export function scrollTo(row: number, list: {
  rows: number; rowHeight: number; screen: number;
}): number {
  const whole = list.rows * list.rowHeight;
  const height = Math.min(whole, MAX_HEIGHT);
  if (whole <= list.screen) return 0;
  const wanted = row * list.rowHeight - (list.screen - list.rowHeight) / 2;
  const at = Math.max(0, Math.min(wanted, whole - list.screen));
  return at * (height - list.screen) / (whole - list.screen);
}
