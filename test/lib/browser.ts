/**
 * A real browser for tests, headless: Debian's chromium (or whatever Chrome is in PATH), driven
 * over its DevTools pipe (cdp.ts), with what a person does: look, click, type.
 *
 *     const browser = await startBrowser();              one for a file; pages are tabs of it
 *     after(() => browser.close());
 *     const page = await browser.open(`${url}/runs`, { width: 1280, height: 800 });
 *     await page.click("link", /nightly-/);              by role and name, as assistive technology
 *     await page.until("the run is shown", () => document.querySelector("h1")?.textContent);
 *     assert.deepEqual(page.complaints(), []);           console errors, foreign requests, CSP
 *
 * Tests that use it say `{ skip: noBrowser }`. Under CI a skip is a failure, so one must be there.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { Cdp, type Answer } from "./cdp.ts";
import { Page, type Size } from "./page.ts";

export { Page, type Node, type Size } from "./page.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** It starts in half a second; on a busy machine everything takes long. */
const START_MS = 30_000;
const END_MS = 5_000;

const PROGRAM = (process.env["PATH"] ?? "").split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isProgram);

/** Why there is none here; false if there is one. */
export const noBrowser: string | false = PROGRAM === undefined &&
  "there is no chromium in PATH (Debian: apt-get install chromium)";

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Nothing of it may look different tomorrow, ask anybody anything, or sleep when nobody looks. */
const FLAGS = [
  "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
  "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
  "--disable-breakpad", "--mute-audio", "--force-color-profile=srgb", "--lang=en-GB",
  "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding", "--password-store=basic",
  "--disable-features=Translate,OptimizationHints,MediaRouter",
];

export async function startBrowser(): Promise<Browser> {
  if (PROGRAM === undefined) throw new Error(`Cannot start a browser: ${String(noBrowser)}`);
  // Its own sandbox refuses to be root, and needs namespaces that a container may not have.
  if (process.getuid?.() === 0) return await start(PROGRAM, ["--no-sandbox"]);
  try {
    return await start(PROGRAM, []);
  } catch (error) {
    if (!/sandbox|namespace/i.test(String(error))) throw error;
    return await start(PROGRAM, ["--no-sandbox"]);
  }
}

/**
 * It has a socket in its folder, whose whole path may have 107 bytes: so much is left for the
 * folder for temporary files. Where that one is longer, the system's own has to do.
 */
const LONGEST_FOLDER = 40;

async function start(program: string, flags: readonly string[]): Promise<Browser> {
  const folder = tmpdir().length <= LONGEST_FOLDER ? tmpdir() : "/tmp";
  const profile = mkdtempSync(join(folder, "titan-browser-"));
  const env = { ...process.env, TMPDIR: profile, HOME: profile, LANG: "en_GB.UTF-8", TZ: "UTC" };
  const args = [...FLAGS, ...flags, `--user-data-dir=${join(profile, "data")}`, "about:blank"];
  const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-10_000);
  });
  const cdp = new Cdp(child.stdio[3] as Writable, child.stdio[4] as Readable);
  const browser = new Browser({ child, cdp, profile });
  child.once("error", (error) => cdp.end(error.message));
  child.once("exit", () => cdp.end(`the browser has ended: ${said}`));
  const timer = setTimeout(() => {
    cdp.end(`no answer within ${START_MS / 1000} s: ${said}`);
  }, START_MS);
  try {
    await cdp.call("Browser.getVersion");
    return browser;
  } catch (error) {
    await browser.close();
    throw new Error(`Cannot start ${program}: ${(error as Error).message}\n${said}`);
  } finally {
    clearTimeout(timer);
  }
}

interface Parts {
  readonly child: ChildProcess;
  readonly cdp: Cdp;
  readonly profile: string;
}

export class Browser {
  readonly #parts: Parts;
  readonly #kill = (): void => {
    this.#parts.child.kill("SIGKILL");
    rmSync(this.#parts.profile, { recursive: true, force: true, maxRetries: 3 });
  };

  constructor(parts: Parts) {
    this.#parts = parts;
    // A test that fails must not leave a browser behind.
    process.on("exit", this.#kill);
  }

  /** A tab, of this size; or a window, beside which all others stay visible. */
  async open(
    url: string, size: Size = { width: 1280, height: 800 }, { newWindow = false } = {},
  ): Promise<Page> {
    const { cdp } = this.#parts;
    const made = await cdp.call("Target.createTarget", { url: "about:blank", newWindow }) as Answer;
    const { targetId } = made;
    const { sessionId } = await cdp.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page({ cdp, sessionId, targetId });
    await page.begin(size);
    await page.navigate(url);
    return page;
  }

  async close(): Promise<void> {
    const { child, cdp, profile } = this.#parts;
    const ended = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once("close", () => resolve());
    });
    cdp.call("Browser.close").catch(() => undefined);
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await ended;
    clearTimeout(timer);
    for (const stream of child.stdio) stream?.destroy();
    process.off("exit", this.#kill);
    // Its helpers write to the last.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** Keeps a picture: `TITAN_PICTURES=DIR` is where people look at what a test has seen. */
export function keep(name: string, png: Buffer): void {
  const folder = process.env["TITAN_PICTURES"];
  if (folder !== undefined) writeFileSync(join(folder, `${name}.png`), png);
}
