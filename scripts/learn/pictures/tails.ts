/** Lesson 08: latency by policy, from the table that the simulation of the lesson prints. */
import { dot, drawPicture, line, text } from "./frame.ts";

const ROW = /^(\w[\w ,]*?)\s{2,}(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+%$/;
const DECADES = [100, 1000, 10_000, 100_000];
const [LEFT, RIGHT, TOP, HEIGHT] = [20, 376, 64, 46];

export function drawTails(lines: readonly string[]): string {
  const rows = lines.flatMap((each) => {
    const found = ROW.exec(each);
    return found === null ? [] : [{
      policy: found[1]!, marks: [Number(found[2]), Number(found[3]), Number(found[4])] as const,
    }];
  });
  const x = (ms: number): number =>
    LEFT + ((Math.log10(ms) - 2) / 3) * (RIGHT - LEFT);
  const bottom = TOP + HEIGHT * rows.length;
  const parts = DECADES.flatMap((ms) => [
    line("grid", [{ x: x(ms), y: 34 }, { x: x(ms), y: bottom }]),
    text({ x: ms === 100 ? x(ms) - 4 : x(ms), y: 24 }, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`, {
      style: "small", ...(ms > 100 && { anchor: ms === 100_000 ? "end" : "middle" }),
    }),
  ]);
  rows.forEach(({ policy, marks: [p50, p99, max] }, row) => {
    const y = TOP + HEIGHT * row;
    const isLong = max > 1000;
    const [colour, fill] = isLong ? ["b", "fb"] : ["a", "fa"];
    parts.push(
      text({ x: LEFT, y: y - 10 }, policy, { style: "head" }),
      line(colour, [{ x: x(p50), y: y + 6 }, { x: x(max), y: y + 6 }]),
      dot(fill, { x: x(p50), y: y + 6 }, 4), dot(fill, { x: x(p99), y: y + 6 }, 4),
      line(`${colour} wide`, [{ x: x(max), y }, { x: x(max), y: y + 12 }]),
      text({ x: RIGHT, y: y - 10 }, `p50 ${p50}  p99 ${p99}  max ${max}`,
        { style: "small", anchor: "end" }),
    );
  });
  return drawPicture({
    title: "Latency by policy, on a scale by tens",
    description: rows.map(({ policy, marks: [p50, p99, max] }) =>
      `${policy}: half within ${p50} ms, 99 of 100 within ${p99} ms, all within ${max} ms`)
      .join("; "),
    height: bottom, parts,
  });
}
