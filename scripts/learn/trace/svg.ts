/**
 * A story as a picture that needs nothing else: lanes, messages as arrows, faults across all of
 * them, and a lane that is dashed while its process is frozen or dead. Time goes down, a row for
 * each line, because most of a story's time is waiting.
 *
 * Test: test/learn-trace.test.ts
 */
import { escape } from "../pictures/frame.ts";
import type { Step, Story } from "./story.ts";

const TIME = 84;
const LANE = 120;
const ROW = 26;
const HEAD = 44;
/** A message arrives a little later than it leaves. */
const SLOPE = 8;
const TEXT = 590;
const MAX_TEXT = 72;

const STYLE = `text{font:13px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#23262b}
.page{fill:#fdfcf9}.lane{stroke:#8a929c;stroke-width:1.5}.off{stroke-dasharray:3 5}
.head{font-weight:700;text-anchor:middle}.time{fill:#5c6470;text-anchor:end}
.way{stroke:#0b5cad;stroke-width:1.5}.tip,.dot{fill:#0b5cad}
.fault{stroke:#a3470b;stroke-dasharray:7 4}.faulty{fill:#a3470b;font-weight:700}
@media(prefers-color-scheme:dark){text{fill:#dfe2e7}.page{fill:#16181c}.time{fill:#9aa3af}
.way{stroke:#7db8f5}.tip,.dot{fill:#7db8f5}.fault{stroke:#f0a36b}.faulty{fill:#f0a36b}}`;

export function drawSvg(story: Story, title: string): string {
  const { lanes, steps } = story;
  const width = TIME + LANE * lanes.length + TEXT;
  const height = HEAD + ROW * steps.length + 12;
  const x = (lane: string | undefined): number => TIME + LANE * (lanes.indexOf(lane ?? "") + 0.5);
  const y = (row: number): number => HEAD + ROW * (row + 0.5);
  const parts = lanes.flatMap((lane) => [
    `<text class="head" x="${x(lane)}" y="24">${escape(lane)}</text>`,
    ...stretches(lane, steps).map(({ from, to, isOff }) =>
      `<line class="lane${isOff ? " off" : ""}" x1="${x(lane)}" x2="${x(lane)}" ` +
      `y1="${from === 0 ? HEAD - 10 : y(from)}" ` +
      `y2="${to === steps.length ? height - 6 : y(to)}"/>`),
  ]);
  const count = lanes.length;
  steps.forEach((step, row) => parts.push(...drawStep(step, { y: y(row), x, lanes: count })));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `width="${width}" height="${height}" role="img">
<title>${escape(title)}</title>
<style>${STYLE}</style>
<rect class="page" width="${width}" height="${height}"/>
${parts.join("\n")}
</svg>
`;
}

function drawStep(
  { at, kind, lane, to, text }: Step,
  { x, y, lanes }: { x(lane: string | undefined): number; y: number; lanes: number },
): string[] {
  const beside = TIME + LANE * lanes + 8;
  const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
  const words = (style: string): string =>
    `<text${style} x="${beside}" y="${y + 4}">${escape(shown)}` +
    `<title>${escape(text)}</title></text>`;
  const time = `<text class="time" x="${TIME - 8}" y="${y + 4}">${escape(at)}</text>`;
  if (kind !== "step") {
    const line = `<line class="fault" x1="${TIME}" x2="${beside - 8}" y1="${y}" y2="${y}"/>`;
    return [time, line, words(' class="faulty"')];
  }
  const dot = `<circle class="dot" cx="${x(lane)}" cy="${y - (to ? SLOPE / 2 : 0)}" r="3.5"/>`;
  if (to === undefined) return [time, dot, words("")];
  const [from, end] = [x(lane), x(to)];
  const side = Math.sign(end - from);
  const tip = y + SLOPE / 2;
  return [time,
    `<line class="way" x1="${from}" x2="${end - 7 * side}" y1="${y - SLOPE / 2}" y2="${tip}"/>`,
    `<path class="tip" d="M${end} ${tip}l${-9 * side} -5v9z"/>`, dot, words("")];
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly isOff: boolean;
}

/** The rows in which a lane's process runs, and those in which it does not. */
function stretches(lane: string, steps: readonly Step[]): Stretch[] {
  const found: Stretch[] = [];
  const name = lane === "master" ? "(?:the )?(?:master|m)" : lane;
  const stops = new RegExp(`\\b${name}\\b.*\\b(?:frozen|stopped|killed|loses power)` +
    `|(?:Kill|Power cut of|Freeze) ${name}\\b`, "i");
  const starts = new RegExp(`\\b${name}\\b.*\\b(?:thaws|continues|is back|starts again)`, "i");
  let [from, isOff] = [0, false];
  steps.forEach((step, row) => {
    const turns = isOff
      ? starts.test(step.text) || (step.lane === lane && step.kind === "step")
      : step.kind === "fault" && stops.test(step.text);
    if (!turns) return;
    found.push({ from, to: row, isOff });
    [from, isOff] = [row, !isOff];
  });
  return [...found, { from, to: steps.length, isOff }];
}
