/**
 * A story in a terminal: a column for each lane, time goes down.
 *
 *              master        w1            w2
 *     0.008 s  ●────────────▶│             │             report#1 is RUNNING on w1
 *
 * Test: test/learn-trace.test.ts
 */
import type { Story } from "./story.ts";

const LANE = 14;

export function drawLanes({ lanes, steps }: Story): string[] {
  const time = Math.max(4, ...steps.map(({ at }) => at.length));
  const head = lanes.map((lane) => lane.slice(0, LANE - 1).padEnd(LANE)).join("");
  return [`${" ".repeat(time)}  ${head}`.trimEnd(), ...steps.map(({ at, kind, lane, to, text }) => {
    if (kind !== "step") {
      const rule = (kind === "fault" ? "╌" : "═").repeat(LANE * lanes.length - 1);
      return `${at.padStart(time)}  ${rule}  ${kind === "fault" ? "" : "BROKEN "}${text}`;
    }
    return `${at.padStart(time)}  ${row(lanes, lane, to)}${text}`.trimEnd();
  })];
}

function row(lanes: readonly string[], lane: string | undefined, to: string | undefined): string {
  const cells = Array.from(lanes, () => `│${" ".repeat(LANE - 1)}`).join("").split("");
  const from = lanes.indexOf(lane ?? "") * LANE;
  const end = to === undefined ? from : lanes.indexOf(to) * LANE;
  for (let at = Math.min(from, end); at <= Math.max(from, end); at++) cells[at] = "─";
  if (end > from) cells[end - 1] = "▶";
  if (end < from) cells[end + 1] = "◀";
  cells[end] = "│";
  cells[from] = "●";
  return cells.join("");
}
