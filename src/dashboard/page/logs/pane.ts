/**
 * Lesson 19: a log on the screen.
 *
 *     ansi.ts    escapes ──▶ styles       lines.ts    bytes ──▶ lines, column.ts its columns
 *     search.ts  which lines match        loader.ts   the master's port ──▶ lines
 *     line.ts    a line as a tree         source.ts   when, and again after a break
 *     toolbar.ts what stands above
 *
 * Lines on the screen exist, and a few around them (lists/window.ts). Long lines that are wrapped
 * have heights that nobody knows before they are drawn, so a wrapped log is scrolled by lines: the
 * first line of the screen is that of the scroll bar's place, the rest follow as they fit.
 *
 * Invariants: following means that the last line is on the screen; a person who scrolls up is left
 * alone; text is drawn once a frame, however fast it comes.
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { rowWindow, scrollTo } from "../lists/window.ts";
import { h, patch, type VNode } from "../vdom.ts";
import { lineTree } from "./line.ts";
import type { LogLines } from "./lines.ts";
import { LineFilter, patternOf } from "./search.ts";
import { LogSource } from "./source.ts";
import { toolbar, type LogWish } from "./toolbar.ts";

export interface LogProps {
  /** "output of train": what it is, for people who listen. */
  readonly label: string;
  /**
   * A path with a query. Another source is another log. Undefined: there is nothing to load, and
   * `empty` says why.
   */
  readonly source: string | undefined;
  readonly empty: string;
  /** More may come. */
  readonly isOpen: boolean;
  readonly download: string;
  /** From 0: the address names it. */
  readonly line: number | undefined;
  hrefOf(line: number): string;
}

/** Pixels; style/logs.css has the same. */
const LINE_ROW = 20;
/** What is shown, row by row. */
interface Rows {
  readonly length: number;
  lineAt(row: number): number;
  rowOf(line: number): number;
}

/** It stays for the next log. */
let wish: LogWish = {
  search: "", matchesOnly: false, errorsOnly: false, wrap: false, times: false,
};

export class LogPane {
  readonly #bar: HTMLElement;
  readonly #scroller: HTMLElement;
  readonly #control = new AbortController();
  readonly #sizes = new ResizeObserver(() => this.#schedule());
  #props: LogProps | undefined;
  readonly #source = new LogSource(() => this.#more());
  #searched: LogLines | undefined;
  #isFollowing = true;
  #isScheduled = false;
  #filter: LineFilter | undefined;
  #matches: LineFilter | undefined;
  #wrong: string | undefined;
  #current = -1;

  constructor(root: HTMLElement) {
    this.#bar = document.createElement("div");
    this.#scroller = document.createElement("div");
    this.#scroller.className = "log";
    this.#scroller.setAttribute("role", "log");
    // Lines that come by the hundred are not to be read out.
    this.#scroller.setAttribute("aria-live", "off");
    this.#scroller.tabIndex = 0;
    root.append(this.#bar, this.#scroller);
    this.#sizes.observe(this.#scroller);
    const { signal } = this.#control;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true, signal });
  }

  close(): void {
    this.#control.abort();
    this.#source.close();
    this.#sizes.disconnect();
  }

  focus(): void {
    this.#scroller.focus();
  }

  update(props: LogProps): void {
    const before = this.#props;
    this.#props = props;
    this.#scroller.setAttribute("aria-label", props.label);
    if (!props.isOpen) this.#source.end();
    // Also of a run that is retried while one looks.
    const isNew = props.source !== before?.source || (props.isOpen && before?.isOpen === false);
    if (isNew) {
      this.#isFollowing = props.line === undefined;
      this.#scroller.scrollTop = 0;
      this.#source.open(props.source, { follow: props.isOpen });
      this.#search();
    } else if (props.line !== undefined && props.line !== before?.line) this.#goTo(props.line);
    this.#schedule();
  }

  #more(): void {
    if (this.#source.lines !== this.#searched) this.#search();
    const { line } = this.#props!;
    const isThere = line !== undefined && line < this.#source.lines.end;
    if (isThere && !this.#isFollowing && this.#current < 0) this.#goTo(line);
    this.#schedule();
  }

  #change(next: Partial<LogWish>): void {
    wish = { ...wish, ...next };
    if (next.search !== undefined || next.errorsOnly !== undefined) this.#search();
    this.#schedule();
  }

  #search(): void {
    const { lines } = this.#source;
    this.#searched = lines;
    this.#matches = undefined;
    this.#wrong = undefined;
    this.#current = -1;
    const pattern = wish.search === "" ? undefined : patternOf(wish.search);
    const regex = pattern !== undefined && "regex" in pattern ? pattern.regex : undefined;
    if (pattern !== undefined && "problem" in pattern) this.#wrong = pattern.problem;
    const { errorsOnly } = wish;
    if (regex !== undefined) this.#matches = new LineFilter(lines, { regex, errorsOnly });
    this.#filter = errorsOnly ? new LineFilter(lines, { errorsOnly }) : undefined;
  }

  /** What is shown, row by row: all lines, or those of a filter. */
  #rows(): Rows {
    const filter = wish.matchesOnly && this.#matches !== undefined ? this.#matches : this.#filter;
    const { first, end } = this.#source.lines;
    if (filter === undefined) {
      return { length: end - first, lineAt: (row) => first + row, rowOf: (line) => line - first };
    }
    return {
      length: filter.length, lineAt: (row) => filter.at(row),
      rowOf: (line) => filter.rowOf(line),
    };
  }

  #step(by: 1 | -1): void {
    const matches = this.#matches;
    if (matches === undefined || matches.length === 0) return;
    const at = this.#current < 0 ? (by === 1 ? -1 : 0) : matches.rowOf(this.#current);
    const next = (at + by + matches.length) % matches.length;
    this.#goTo(matches.at(next));
  }

  #goTo(line: number): void {
    this.#current = line;
    this.#isFollowing = false;
    const rows = this.#rows();
    this.#draw();
    this.#scroller.scrollTop = scrollTo(rows.rowOf(line), {
      rows: rows.length, rowHeight: LINE_ROW, screen: this.#scroller.clientHeight,
    });
    this.#schedule();
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#isFollowing = scrollHeight - clientHeight - scrollTop < LINE_ROW;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      if (this.#control.signal.aborted) return;
      const isBusy = [this.#matches, this.#filter].map((filter) => filter?.advance() === true);
      this.#draw();
      if (isBusy.includes(true)) this.#schedule();
    });
  }

  #draw(): void {
    if (this.#props === undefined) return;
    const rows = this.#rows();
    const screen = this.#scroller.clientHeight;
    patch(
      this.#bar,
      toolbar({
        wish,
        isFollowing: this.#isFollowing, isOpen: !this.#source.isLoaded && this.#props.isOpen,
        found: this.#found(),
        problem: this.#wrong,
        lines: this.#count(),
        hasErrors: this.#source.lines.errors > 0,
        download: this.#props.download,
        change: (next) => this.#change(next),
        follow: (on) => this.#follow(on),
        step: (by) => this.#step(by),
      }),
    );
    patch(this.#scroller, this.#content(rows, screen));
    if (this.#isFollowing) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #follow(on: boolean): void {
    this.#isFollowing = on;
    if (!on) this.#scroller.scrollTop -= 2 * LINE_ROW;
    this.#schedule();
  }

  #content(rows: Rows, screen: number): VNode {
    if (rows.length === 0) return h("div", { class: "log-empty" }, this.#whyEmpty());
    const { problem } = this.#source;
    const scrollTop = this.#isFollowing ? Infinity : this.#scroller.scrollTop;
    const found = rowWindow({ rows: rows.length, rowHeight: LINE_ROW, scrollTop, screen });
    const isEnd = wish.wrap && found.end === rows.length &&
      (this.#isFollowing || scrollTop + screen >= found.height - 1);
    const lines = Array.from({ length: found.end - found.first }, (_, at) =>
      this.#line(rows.lineAt(found.first + at)));
    const place = isEnd ? { bottom: "0", transform: undefined }
      : { bottom: undefined, transform: `translateY(${found.top}px)` };
    return h("div", {
      class: `log-space${wish.wrap ? " log-wrapped" : ""}`,
      style: { height: `${found.height}px` },
    }, h("div", { class: "log-rows", style: place }, lines), problem === "" ? null
      : h("div", { class: "log-broken", role: "status" }, problem));
  }

  #line(number: number): VNode {
    const line = this.#source.lines.line(number);
    const regex = this.#matches === undefined ? undefined : patternOf(wish.search);
    return lineTree({
      line, number, hasTimes: wish.times, job: this.#source.jobs[line.source],
      regex: regex !== undefined && "regex" in regex ? regex.regex : undefined,
      isMarked: number === this.#current || number === this.#props!.line,
      href: this.#props!.hrefOf(number),
    });
  }

  #whyEmpty(): string {
    const { source, empty, isOpen } = this.#props!;
    const { problem, lines, isLoaded } = this.#source;
    if (problem !== "") return problem;
    if (source === undefined) return empty;
    if (lines.end > 0) return "No line is of this kind.";
    if (isLoaded) return empty;
    return isOpen ? "Nothing has been printed yet." : "Loading…";
  }

  #found(): string {
    if (this.#matches === undefined) return "";
    const { length } = this.#matches;
    if (length === 0) return "No line matches";
    const lines = `${length.toLocaleString()} ${length === 1 ? "line" : "lines"}`;
    return this.#current < 0 ? lines : `${this.#matches.rowOf(this.#current) + 1} of ${lines}`;
  }

  #count(): string {
    const { first, end } = this.#source.lines;
    const all = `${end.toLocaleString()} ${end === 1 ? "line" : "lines"}`;
    return first === 0 ? all : `${all}, the first ${first.toLocaleString()} in the download only`;
  }
}
