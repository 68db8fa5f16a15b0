/**
 * Lesson 19: the slider over facts, with what plays it, and the fact that it stands at in words.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { button } from "../parts/page.ts";
import { icon } from "../parts/icon.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import type { PastFact } from "./fold.ts";
import { SPEEDS, type Speed } from "./play.ts";
import type { Travel } from "./travel.ts";

const NAMES: Readonly<Record<Speed, string>> = {
  1: "1×", 4: "4×", 16: "16×", fact: "fact by fact",
};

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/** "14:05:09.120", local. */
export function clockText(at: number): string {
  return CLOCK.format(at);
}

/** What happened; the number in front of it has a place of its own. */
export function wordsOf({ text }: PastFact): string {
  return text.replace(/^#\d+ /, "");
}

/** "fact 12 of 80, 14:05:09.120, JobStarted build on w1": what the slider says. */
export function placeText(
  place: number, { count, isGrowing }: { count: number; isGrowing: boolean },
  fact: PastFact | undefined,
): string {
  // The moment has come before the facts have.
  if (fact === undefined && isGrowing) return "reading the log";
  const where = `fact ${place} of ${count}${isGrowing ? " so far" : ""}`;
  return fact === undefined ? where : `${where}, ${clockText(fact.at)}, ${wordsOf(fact)}`;
}

/** People who listen hear the slider itself when they move it. */
export function sayPlace({ course, place }: Travel, { announce }: Context): void {
  if (document.activeElement?.matches(".past-slider") === true) return;
  announce(placeText(place, course, course.fact(place)));
}

export interface BarOptions {
  readonly travel: Travel;
  readonly context: Context;
  /** Of the run, or of the cluster. */
  readonly label: string;
  /** Where the present is. */
  readonly live: string;
  readonly problem: Child;
}

export function barTree({ travel, context, label, live, problem }: BarOptions): VNode {
  const { course, place, isPlaying } = travel;
  const fact = course.fact(place);
  const text = placeText(place, course, fact);
  const [isFirst, isLast] = [place <= 1, place >= course.count];
  return h("section", {
    class: "past", key: "past", "aria-label": label,
    hook: { mount: () => () => travel.close() },
  },
    h("div", { class: "past-bar" },
      h("div", { class: "past-buttons", role: "group", "aria-label": "Move in time" },
        turn("First fact", "first", isFirst, () => travel.go(1)),
        turn("Step back", "back", isFirst, () => travel.step(-1)),
        turn(isPlaying ? "Pause" : "Play", isPlaying ? "waiting" : "running", false,
          () => travel.toggle()),
        turn("Step forward", "next", isLast, () => travel.step(1)),
        turn("Last fact", "last", isLast, () => travel.go(course.count))),
      h("input", {
        type: "range", class: "past-slider", min: 1, max: course.count, step: 1, value: place,
        "aria-label": label, "aria-valuetext": text, hook: { mount: begin },
        oninput: (event: InputEvent) =>
          travel.go(Number((event.target as HTMLInputElement).value)),
        onkeydown: (event: KeyboardEvent) => {
          if (event.key !== " ") return;
          event.preventDefault();
          travel.toggle();
        },
      }),
      h("label", { class: "past-speed" }, h("span", { class: "spoken" }, "Speed"),
        h("select", {
          onchange: (event: Event) =>
            travel.setSpeed((event.target as HTMLSelectElement).value as Speed),
        }, SPEEDS.map((speed) => h("option", {
          key: speed, value: speed, selected: speed === travel.speed,
        }, NAMES[speed])))),
      button("Copy link", () => void context.act(async () => {
        const link = new URL(context.url);
        link.searchParams.set("at", String(course.seqOf(place)));
        await navigator.clipboard.writeText(link.href);
      }, "The link to this moment is copied"), { label: "Copy a link to this moment" }),
      h("a", { class: "button button-main", href: live }, "Live")),
    h("p", { class: "past-now" },
      h("span", { class: "past-place" }, text.split(", ")[0]!),
      fact === undefined ? null : [
        h("time", { title: DAY.format(fact.at) }, clockText(fact.at)),
        h("span", { class: "soft" }, `#${fact.seq}`),
        h("strong", null, wordsOf(fact))]),
    problem);
}

/** The keyboard was at what has led here: now it is at the slider. */
function begin(slider: HTMLElement): void {
  if (document.activeElement === document.body) slider.focus({ preventScroll: true });
}

function turn(label: string, picture: string, disabled: boolean, run: () => void): VNode {
  return h("button", {
    type: "button", class: "button button-quiet", "aria-label": label, title: label, disabled,
    key: picture === "waiting" ? "running" : picture, onclick: run,
  }, icon(picture));
}
