/**
 * Open Overviews, as far as a master sees them: the page's own program, which follows the stream
 * and asks again and again, without a document to draw. A process of its own: what a browser has
 * by these names is the whole page's.
 *
 *     overviews.ts PORT COUNT     says {"live":COUNT}, and at the end of its input what it asked
 */
import { Needs } from "../../src/dashboard/page/needs.ts";
import { EMPTY, reduce, type Action, type State } from "../../src/dashboard/page/state.ts";
import { Stream } from "../../src/dashboard/page/stream.ts";
import type { Need } from "../../src/dashboard/page/views/view.ts";

/** A browser draws, and then says what it needs, at most once a frame. */
const FRAME_MS = 16;
const TICK_MS = 1000;

const [port, count] = process.argv.slice(2).map(Number);
const origin = `http://127.0.0.1:${port}`;
const ask = globalThis.fetch;
const asked = { requests: 0, bytes: 0 };

async function counted(path: string, options: RequestInit): Promise<Response> {
  asked.requests++;
  const { status, statusText, headers, body } = await ask(new URL(path, origin), options);
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, out) {
      asked.bytes += piece.length;
      out.enqueue(piece);
    },
  });
  return new Response(body?.pipeThrough(counting) ?? null, { status, statusText, headers });
}

/** As much of a browser as these modules touch before they draw. */
const BROWSER = {
  fetch: counted, addEventListener: () => undefined, location: new URL(origin), navigator: {},
  document: { hidden: false, documentElement: { removeAttribute: () => undefined } },
};
for (const [name, value] of Object.entries(BROWSER)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
// These look at the document as they are loaded.
const { api } = await import("../../src/dashboard/page/api.ts");
const { frameNeeds } = await import("../../src/dashboard/page/frame.ts");
const { overview } = await import("../../src/dashboard/page/views/overview.ts");

function open(): Promise<void> {
  return new Promise((live) => {
    let state: State = EMPTY;
    let frame: NodeJS.Timeout | undefined;
    const needs = (): Need[] => [...frameNeeds(state), ...overview.needs!({} as never, state)];
    const dispatch = (action: Action): void => {
      state = reduce(state, action);
      if (state.connection === "live") live();
      frame ??= setTimeout(() => {
        frame = undefined;
        kept.set(needs(), "/");
      }, FRAME_MS);
    };
    const stream = new Stream({ api, dispatch });
    const kept = new Needs({ api, dispatch, follow: (runs) => stream.follow(runs) });
    setInterval(() => dispatch({ type: "tick", wall: Date.now() }), TICK_MS);
    kept.set(needs(), "/");
    void stream.run();
  });
}

await Promise.all(Array.from({ length: count! }, open));
console.log(JSON.stringify({ live: count }));
process.stdin.resume().once("end", () => {
  console.log(JSON.stringify(asked));
  process.exit(0);
});
