/** Lesson 13: workers over time, with and without hysteresis, from what the simulation prints. */
import { drawPicture, line, text, type At } from "./frame.ts";

const COUNTS = /^(?:\s+\d+){10,}$/;
const [LEFT, RIGHT, HEIGHT, GAP] = [34, 388, 92, 62];

export function drawFleet(lines: readonly string[]): string {
  const charts = lines.flatMap((each, index) => {
    if (!COUNTS.test(each)) return [];
    const counts = each.trim().split(/\s+/).map(Number);
    const name = lines[index - 1]!.split(":")[0]!;
    const [, started = "", waits = ""] =
      /(\d+) started.*waits for ([\d.]+ s)/.exec(lines[index + 1]!) ?? [];
    return [{ name, counts, started, waits }];
  });
  const most = Math.max(...charts.flatMap(({ counts }) => counts));
  const parts = charts.flatMap(({ name, counts, started, waits }, row) => {
    const top = 40 + (HEIGHT + GAP) * row;
    const bottom = top + HEIGHT;
    const x = (second: number): number => LEFT + (second * (RIGHT - LEFT)) / counts.length;
    const y = (count: number): number => bottom - (count * HEIGHT) / most;
    const steps: At[] = counts.flatMap((count, second) =>
      [{ x: x(second), y: y(count) }, { x: x(second + 1), y: y(count) }]);
    const ticks = [0, 10, 20, 30].filter((second) => second <= counts.length);
    return [
      text({ x: LEFT, y: top - 20 }, name, { style: "head" }),
      text({ x: RIGHT, y: top - 20 }, `${started} started, a job waits ${waits}`,
        { style: "small", anchor: "end" }),
      ...[0, most].flatMap((count) => [
        line("grid", [{ x: LEFT, y: y(count) }, { x: RIGHT, y: y(count) }]),
        text({ x: LEFT - 8, y: y(count) + 4 }, String(count), { style: "small", anchor: "end" }),
      ]),
      ...ticks.map((second) => text({ x: x(second), y: bottom + 15 }, `${second} s`,
        { style: "small", anchor: second === counts.length ? "end" : "middle" })),
      line(row === 0 ? "b" : "a", steps),
    ];
  });
  return drawPicture({
    title: "Workers over half a minute, for a load that never changes",
    description: charts.map(({ name, counts, started }) => `${name}: between ` +
      `${Math.min(...counts)} and ${Math.max(...counts)} workers, ${started} started in ten ` +
      "minutes").join("; "),
    height: 40 + charts.length * (HEIGHT + GAP) - GAP + 26, parts,
  });
}
