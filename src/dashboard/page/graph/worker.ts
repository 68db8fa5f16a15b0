/**
 * Lesson 19: the layout of large graphs, beside the page: a thread of its own, so that nothing on
 * the screen stands still.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { drawPicture } from "./picture.ts";

/** The page asks for one picture after the other; a number says which answer is which. */
export interface PictureAsked {
  readonly number: number;
  readonly parents: readonly (readonly number[])[];
  readonly before?: readonly (number | undefined)[] | undefined;
}

interface Thread {
  onmessage: ((event: MessageEvent<PictureAsked>) => void) | null;
  postMessage(value: unknown, owned: ArrayBufferLike[]): void;
}

const thread = self as unknown as Thread;
thread.onmessage = ({ data: { number, parents, before } }) => {
  const picture = drawPicture(parents, before);
  const { ranks, xs, ys, edges: { from, to, tops, bottoms } } = picture;
  const owned = [ranks, xs, ys, from, to, tops, bottoms].map(({ buffer }) => buffer);
  thread.postMessage({ number, picture }, owned);
};
