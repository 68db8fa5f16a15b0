/** Lesson 04: two answers that overtake each other, from what the shop's program prints. */
import { arrow, drawPicture, line, text } from "./frame.ts";

const ASKS = /^t=(\d+)\s+customer\s+asks #(\d): what does the (\w+) cost/;
const ANSWERS = /^t=(\d+)\s+shop\s+answers #(\d): (.*)$/;
const BELIEVES = /^t=(\d+)\s+customer\s+believes that the (\w+) costs (.*)$/;
const [CUSTOMER, SHOP] = [190, 330];
const [TOP, MS] = [58, 5.6];

export function drawShop(lines: readonly string[]): string {
  const asked = lines.flatMap((each) => ASKS.exec(each) ?? []).length / 4;
  const parts = [
    text({ x: CUSTOMER, y: 22 }, "customer", { style: "head", anchor: "middle" }),
    text({ x: SHOP, y: 22 }, "shop", { style: "head", anchor: "middle" }),
  ];
  let [asks, last] = [0, 0];
  for (const each of lines) {
    const ask = ASKS.exec(each);
    const answer = ANSWERS.exec(each);
    const belief = BELIEVES.exec(each);
    const y = TOP + MS * Number((ask ?? answer ?? belief)?.[1] ?? 0);
    if (ask !== null) {
      const at = y - 18 * (asked - 1 - asks++);
      parts.push(...arrow(colourOf(ask[2]!), { x: CUSTOMER, y: at }, { x: SHOP, y: at + 8 }));
      parts.push(text({ x: CUSTOMER - 10, y: at + 4 }, `#${ask[2]} the ${ask[3]}?`,
        { anchor: "end" }));
    } else if (answer !== null) {
      const kind = colourOf(answer[2]!);
      parts.push(...arrow(kind, { x: SHOP, y }, { x: CUSTOMER, y: y + 8 }));
      parts.push(text({ x: (CUSTOMER + SHOP) / 2, y: y + 22 }, `#${answer[2]}: ${answer[3]}`,
        { style: `f${kind}`, anchor: "middle" }));
      parts.push(text({ x: SHOP + 10, y: y + 4 }, `t=${answer[1]}`, { style: "small" }));
    } else if (belief !== null) {
      parts.push(text({ x: CUSTOMER - 10, y: y + 8 }, `“the ${belief[2]}:`, { anchor: "end" }));
      parts.push(text({ x: CUSTOMER - 10, y: y + 23 }, `${belief[3]}”`, { anchor: "end" }));
    }
    last = Math.max(last, y);
  }
  const lanes = [CUSTOMER, SHOP].map((x) =>
    line("axis", [{ x, y: 32 }, { x, y: last + 30 }]));
  return drawPicture({
    title: "Two questions, and answers that overtake each other",
    description: "The answer to the second question comes first. A customer who matches by order " +
      "takes it for the answer to the first: the house costs 1 euro.",
    height: last + 40, parts: [...lanes, ...parts],
  });
}

const colourOf = (id: string): "a" | "b" => (id === "1" ? "a" : "b");
