/**
 * Lesson 19: where the lines of a log come from: loaded until all of them are here. A connection
 * that breaks is made again: of one job from where it broke, and of several from the beginning;
 * then what is shown stays until there is more of it. A window without a seat (seats.ts) loads what
 * there is, again and again, until nothing more can come.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { LogLines } from "./lines.ts";
import { takeSeat } from "../seats.ts";
import { loadLog } from "./loader.ts";

/** Before a log that broke off, or may have grown, is loaded again. */
const RETRY_MS = 1_000;

export class LogSource {
  readonly #onMore: () => void;
  readonly #control = new AbortController();
  #path: string | undefined;
  #isFollowed = false;
  #loading = new AbortController();
  /** Where the log of one job goes on. */
  #next: number | undefined;
  /** Another object after each new beginning. */
  lines = new LogLines();
  /** The jobs of a merged log, by their numbers as sources. */
  jobs: readonly string[] = [];
  problem = "";
  isLoaded = false;

  /** `onMore`: there are more lines, other ones, or there is a problem. */
  constructor(onMore: () => void) {
    this.#onMore = onMore;
    document.addEventListener("visibilitychange", () => this.#seen(), {
      signal: this.#control.signal,
    });
  }

  close(): void {
    this.#control.abort();
    this.#loading.abort();
  }

  /** `follow`: until nothing more can come, of which the caller tells. */
  open(path: string | undefined, { follow }: { follow: boolean }): void {
    this.#path = path;
    this.#isFollowed = follow;
    this.lines = new LogLines();
    this.jobs = [];
    this.problem = "";
    this.isLoaded = false;
    this.#next = undefined;
    void this.#load();
  }

  /** Nothing more comes than is there by now. */
  end(): void {
    this.#isFollowed = false;
  }

  async #load(): Promise<void> {
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    if (this.#path === undefined) return;
    while (!signal.aborted) {
      const leave = this.#isFollowed ? await takeSeat() : undefined;
      const isBrief = this.#isFollowed && leave === undefined;
      const whole = `${this.#path}${leave === undefined ? "" : "&follow=1"}`;
      const goesOn = this.#next !== undefined;
      const path = goesOn ? `${whole}&from=${this.#next}` : whole;
      const lines = goesOn || this.lines.end === 0 ? this.lines : new LogLines();
      const jobs: string[] = [];
      const show = ({ isWhole }: { isWhole: boolean }): void => {
        if (signal.aborted) return;
        if (!isWhole && lines.end < this.lines.end) return;
        this.lines = lines;
        this.jobs = jobs;
        this.problem = "";
        this.isLoaded = isWhole;
        this.#onMore();
      };
      try {
        await loadLog({
          path, lines, jobs, signal,
          onMore: (next) => {
            // Also of a tab that was hidden meanwhile: they are here now.
            if (lines === this.lines) this.#next = next ?? this.#next;
            show({ isWhole: false });
          },
        });
        if (!isBrief) {
          lines.finish();
          show({ isWhole: true });
          return;
        }
      } catch (error) {
        if (signal.aborted) return;
        // fetch() says so when there is no connection; all else is an answer.
        const isAway = error instanceof TypeError;
        this.problem = isAway ? "The connection broke off; it comes back by itself."
          : (error as Error).message;
        this.#onMore();
        if (!isAway) return;
      } finally {
        leave?.();
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** A tab that nobody sees holds no connection: a browser has six of them for all tabs. */
  #seen(): void {
    if (this.isLoaded) return;
    if (document.hidden) this.#loading.abort();
    else void this.#load();
  }
}
