/**
 * Lesson 19: what stands above a log: search, what is shown, follow, download.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { icon } from "../parts/icon.ts";
import { h, type Child, type VNode } from "../vdom.ts";

/** What a person has chosen. It stays for the next log. */
export interface LogWish {
  readonly search: string;
  readonly matchesOnly: boolean;
  readonly errorsOnly: boolean;
  readonly wrap: boolean;
  readonly times: boolean;
}

export interface ToolbarProps {
  readonly wish: LogWish;
  readonly isFollowing: boolean;
  /** More may come. */
  readonly isOpen: boolean;
  /** What the search has come to, in words. */
  readonly found: string;
  readonly problem: string | undefined;
  readonly lines: string;
  /** The data says which lines are of stderr. */
  readonly hasErrors: boolean;
  readonly download: string;
  change(wish: Partial<LogWish>): void;
  follow(on: boolean): void;
  /** To the next match, or to the one before. */
  step(by: 1 | -1): void;
}

export function toolbar(props: ToolbarProps): VNode {
  const { wish, problem, found } = props;
  const searchKeys = (event: KeyboardEvent): void => {
    if (event.key === "Enter") props.step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape" && wish.search !== "") props.change({ search: "" });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return h(
    "div",
    { class: "log-bar" },
    h(
      "label",
      { class: "find-field log-search" },
      icon("search"),
      h("input", {
        type: "search",
        value: wish.search,
        placeholder: "Search (regex)",
        spellcheck: "false",
        "aria-label": "Search the output",
        "aria-invalid": problem !== undefined,
        autocomplete: "off",
        onkeydown: searchKeys,
        oninput: ({ target }: Event) =>
          props.change({ search: (target as HTMLInputElement).value }),
      }),
    ),
    h(
      "span",
      { class: problem === undefined ? "log-found" : "log-found log-wrong", role: "status" },
      problem ?? found,
    ),
    wish.search === ""
      ? null
      : toggle("Matches only", wish.matchesOnly, (matchesOnly) => props.change({ matchesOnly })),
    props.hasErrors || wish.errorsOnly
      ? toggle("stderr only", wish.errorsOnly, (errorsOnly) => props.change({ errorsOnly }))
      : null,
    toggle("Wrap", wish.wrap, (wrap) => props.change({ wrap })),
    toggle("Times", wish.times, (times) => props.change({ times })),
    !props.isOpen ? null : toggle("Follow", props.isFollowing, (on) => props.follow(on)),
    h("span", { class: "log-lines" }, props.lines),
    h("a", { class: "button button-quiet", href: downloadOf(props), download: "" },
      wish.errorsOnly ? "Download stderr" : "Download"),
  );
}

/** The file has what is shown. */
function downloadOf({ wish, download }: ToolbarProps): string {
  if (!wish.errorsOnly) return download;
  return `${download}${download.includes("?") ? "&" : "?"}stream=stderr`;
}

function toggle(text: string, isOn: boolean, change: (on: boolean) => void): Child {
  return h("button", {
    key: text, type: "button", class: "toggle", "aria-pressed": isOn,
    onclick: () => change(!isOn),
  }, text);
}
