/**
 * Lesson 19: who makes pictures: small ones at once, large ones in a worker, and none twice.
 *
 * A picture follows from the shape of a graph, and, while a run grows, from the picture before it.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import type { GraphModel } from "./model.ts";
import { drawPicture, type Picture } from "./picture.ts";
import type { PictureAsked } from "./worker.ts";

/** As many nodes are placed within one frame. */
const SMALL = 150;
/** Pictures of runs that a person goes back and forth between. */
const MAX_KEPT = 8;

const kept = new Map<string, Picture>();
const waiting = new Map<number, (picture: Picture) => void>();
let worker: Worker | undefined;
let lastNumber = 0;

/** `before`: how far down each node stood, if the graph has grown out of another one. */
export async function paint(
  model: GraphModel, before?: readonly (number | undefined)[],
): Promise<Picture> {
  const { shape, parents } = model;
  const known = kept.get(shape);
  if (known !== undefined && before === undefined) return known;
  const picture = parents.length <= SMALL
    ? drawPicture(parents, before)
    : await inWorker(parents, before).catch(() => drawPicture(parents, before));
  kept.delete(shape);
  kept.set(shape, picture);
  if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
  return picture;
}

/** Rejects if the browser has no workers, or its policy forbids this one. */
function inWorker(
  parents: PictureAsked["parents"], before: PictureAsked["before"],
): Promise<Picture> {
  return new Promise((resolve, reject) => {
    const painter = startPainter();
    const number = ++lastNumber;
    waiting.set(number, resolve);
    painter.addEventListener("error", reject, { once: true });
    painter.postMessage({ number, parents, before } satisfies PictureAsked);
  });
}

/** A worker takes a while to start, and then stays: it may start before there is work. */
export function warmPainter(): void {
  try {
    startPainter();
  } catch {
    // There are no workers: pictures are made in the page.
  }
}

function startPainter(): Worker {
  if (worker !== undefined) return worker;
  const made = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  made.onmessage = ({ data }: MessageEvent<{ number: number; picture: Picture }>) => {
    waiting.get(data.number)?.(data.picture);
    waiting.delete(data.number);
  };
  worker = made;
  return made;
}
