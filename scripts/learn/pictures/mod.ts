/**
 * The drawn pictures of the lessons. Each is made from what a program of its lesson prints, or from
 * the code of its chapter, so that it shows what is so: a test draws them again and compares.
 *
 *     frame.ts      the page, its colours, lines and text
 *     shop.ts       04: answers that overtake each other
 *     torn.ts       05: a torn tail, byte by byte
 *     heap.ts       07: a newcomer rises
 *     tails.ts      08: latency by policy
 *     fleet.ts      13: workers over time, with and without hysteresis
 *
 * Diagrams of messages are drawn from transcripts by `learn trace` (trace/svg.ts).
 * Test: test/learn-pictures.test.ts
 */
import { drawFleet } from "./fleet.ts";
import { drawHeap } from "./heap.ts";
import { drawShop } from "./shop.ts";
import { drawTails } from "./tails.ts";
import { drawTorn } from "./torn.ts";

export interface LessonPicture {
  readonly lesson: string;
  readonly file: string;
  /** The program whose transcript in the lesson `draw` is given, if it is drawn from one. */
  readonly script?: string;
  draw(lines: readonly string[]): string | Promise<string>;
}

export const PICTURES: readonly LessonPicture[] = [
  { lesson: "04-rpc", file: "overtaken.svg", script: "04/shop", draw: drawShop },
  { lesson: "05-log", file: "torn.svg", draw: drawTorn },
  { lesson: "07-queue", file: "heap.svg", draw: drawHeap },
  { lesson: "08-routing", file: "tails.svg", script: "08/slow-worker", draw: drawTails },
  { lesson: "13-scaling", file: "fleet.svg", script: "13/naive", draw: drawFleet },
];
