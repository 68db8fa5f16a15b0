/**
 * Lesson 19: every job of a large run as a button that is heard and not seen. The graph and the
 * lists have elements for the screen only; people who listen have no screen.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, type VNode } from "../vdom.ts";

export interface TwinProps {
  readonly run: string;
  /** Another object where something is another. */
  readonly jobs: readonly object[];
  /** "JOB, STATE". */
  name(job: number): string;
  choose(job: number): void;
}

/** As many are made at once without a missed frame. */
const SLICE = 1_000;

const twins = new WeakMap<Element, Twin>();

export function twinTree(props: TwinProps): VNode {
  return h("div", {
    key: `twin of ${props.run}`, class: "twin", role: "group",
    "aria-label": `jobs of ${props.run}`, opaque: true,
    hook: {
      mount(element: HTMLElement): () => void {
        const twin = new Twin(element);
        twins.set(element, twin);
        return () => twin.close();
      },
      update: (element: HTMLElement) => twins.get(element)!.update(props),
    },
  });
}

class Twin {
  readonly #root: HTMLElement;
  /** As they were when their names were made. */
  readonly #seen: object[] = [];
  #props: TwinProps | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.onclick = ({ target }) => {
      const job = (target as HTMLElement).dataset["job"];
      if (job !== undefined) this.#props?.choose(Number(job));
    };
    root.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      (event.target as HTMLElement).click();
    };
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  update(props: TwinProps): void {
    this.#props = props;
    while (this.#seen.length > props.jobs.length) {
      this.#seen.pop();
      this.#root.lastElementChild?.remove();
    }
    for (const [at, before] of this.#seen.entries()) {
      const job = props.jobs[at]!;
      if (job === before) continue;
      this.#seen[at] = job;
      this.#root.children[at]!.setAttribute("aria-label", props.name(at));
    }
    clearTimeout(this.#timer);
    this.#grow();
  }

  #grow(): void {
    const props = this.#props!;
    const to = Math.min(props.jobs.length, this.#seen.length + SLICE);
    for (let at = this.#seen.length; at < to; at++) {
      const element = document.createElement("div");
      element.setAttribute("role", "button");
      element.tabIndex = -1;
      element.dataset["job"] = String(at);
      element.setAttribute("aria-label", props.name(at));
      this.#seen.push(props.jobs[at]!);
      this.#root.append(element);
    }
    if (to < props.jobs.length) this.#timer = setTimeout(() => this.#grow());
  }
}
