/** The dashboard in a real browser: navigation, keys, palette, themes, a lost connection. */
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { definePipeline } from "#pipeline";
import { NAVIGATION } from "../src/dashboard/page/router.ts";
import { keep, noBrowser, type Page } from "./lib/browser.ts";
import { openDashboard, type Scene } from "./lib/dashboard.ts";
import { eventually } from "./processes.support.ts";

const NARROW = { width: 320, height: 640 };
const WIDE = { width: 1280, height: 800 };
const HOUR_MS = 3_600_000;
const SHORT_AGO = /^(?:just now|\d+ (?:s|min) ago)$/;

let scene: Scene;
let page: Page;

before(async () => {
  if (noBrowser !== false) return;
  scene = await openDashboard();
  page = await scene.browser.open(scene.url, WIDE);
});
after(() => scene?.close());

const where = (): Promise<string> => page.evaluate(() => location.pathname + location.search);
const focused = (): Promise<string> =>
  page.evaluate(() => document.activeElement?.textContent ?? "");

test("each link of the navigation leads to its view, which a reload shows again", {
  skip: noBrowser,
}, async () => {
  await page.find("navigation");
  for (const { name, path } of NAVIGATION) {
    await page.click("link", name);
    await page.find("heading", name);
    assert.equal(await where(), path);
    assert.equal(await focused(), name, "the heading is what is read next");
    assert.equal((await page.all("heading", name))[0]!.states["level"], 1);
    assert.match(await page.evaluate(() => document.title), new RegExp(`^${name} · Titan$`));
  }
  await page.reload();
  await page.find("heading", NAVIGATION.at(-1)!.name);
  await page.evaluate(() => history.back());
  await page.find("heading", NAVIGATION.at(-2)!.name);
  await page.navigate(`${scene.url}/no/such/view`);
  await page.find("heading", "Nothing here");
});

test("what gets the focus behind the bar comes out of it", { skip: noBrowser }, async () => {
  for (const width of [WIDE.width, 700]) {
    await page.resize({ width, height: 300 });
    await page.navigate(scene.url);
    await page.find("button", /^Drain w1/);
    const { before, after: top, bars } = await page.evaluate(async () => {
      const own = document.querySelector<HTMLElement>("main button")!;
      const bottoms = [...document.querySelectorAll(".bar, .nav")]
        .map((each) => each.getBoundingClientRect())
        .filter(({ width: wide }) => wide > innerWidth / 2).map(({ bottom }) => bottom);
      // In sight for the browser, and hidden for a person: its end is just under the bars.
      const { top: now, height } = own.getBoundingClientRect();
      scrollTo(0, scrollY + now + height - Math.max(...bottoms));
      await new Promise((drawn) => requestAnimationFrame(drawn));
      const covered = Math.max(...bottoms) - own.getBoundingClientRect().bottom;
      own.focus();
      await new Promise((drawn) => requestAnimationFrame(drawn));
      return { before: covered, after: own.getBoundingClientRect().top, bars: bottoms };
    });
    assert.equal(Math.round(before), 0);
    assert.equal(bars.length, width < 820 ? 2 : 1);
    assert.ok(top >= Math.max(...bars), JSON.stringify({ width, top, bars }));
  }
  await page.resize(WIDE);
});

test("no view is wider than a window of 320 pixels", { skip: noBrowser }, async () => {
  await page.resize(NARROW);
  for (const { name, path } of NAVIGATION) {
    await page.navigate(scene.url + path);
    await page.find("heading", name);
    assert.equal(await page.overflow(), 0, name);
    assert.equal(await page.evaluate(() => {
      const link = document.querySelector('.nav [aria-current="page"]')!;
      const { left, right } = link.getBoundingClientRect();
      return left >= 0 && right <= innerWidth;
    }), true, `${name} is in sight in the navigation`);
    keep(`narrow-${name}`, await page.screenshot());
  }
  await page.resize(WIDE);
});

test("keys go to views and show their list; in a field letters are letters", {
  skip: noBrowser,
}, async () => {
  await page.navigate(scene.url);
  await page.find("heading", "Overview");
  await page.type("gw");
  await page.find("heading", "Workers");
  await page.press("?");
  await page.find("dialog", "Keys");
  keep("keys", await page.screenshot());
  await page.press("Escape");
  await page.gone("dialog", "Keys");
  await page.press("Control+k");
  await page.find("combobox");
  // Signs are letters, too, and no arrows: ' and % are numbered like them.
  const signs = "it's #1 (50%) & \"a.b\" 😀";
  await page.type(signs);
  assert.equal(await page.evaluate(() =>
    (document.activeElement as HTMLInputElement).value), signs);
  await page.press("Escape");
  await page.gone("combobox", /./);
  assert.equal(await where(), "/workers");
});

test("the palette finds views and runs by their letters, with keys alone", {
  skip: noBrowser,
}, async () => {
  const { id } = await scene.titan.run({ name: "nightly", jobs: [{ id: "a", run: "true" }] });
  await page.press("Control+k");
  await page.find("combobox");
  await page.type("night");
  // The run itself may come a moment after its name was typed.
  await page.until("the run is chosen", (run: string) =>
    document.querySelector('[role="option"][aria-selected="true"]')?.textContent.includes(run), id);
  keep("palette", await page.screenshot());
  await page.press("Enter");
  await page.find("heading", id);
  assert.equal(await where(), `/runs/${id}`);
});

test("light and dark: as the system says, until a person chooses; the choice stays", {
  skip: noBrowser,
}, async () => {
  const ground = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.theme("light");
  const light = await ground();
  await page.theme("dark");
  const dark = await ground();
  assert.notEqual(light, dark);
  await page.click("button", "Light");
  await page.until("it is light", (colour: string) =>
    getComputedStyle(document.documentElement).backgroundColor === colour, light);
  await page.reload();
  assert.equal(await ground(), light);
  await page.click("button", "As the system");
  await page.until("it is dark", (colour: string) =>
    getComputedStyle(document.documentElement).backgroundColor === colour, dark);
  await page.theme("light");
});

test("a lost connection is said, and ends by itself with what was missed", {
  skip: noBrowser,
}, async () => {
  await page.click("link", "Runs");

  await page.until("it is live", () =>
    document.querySelector(".connection-word")?.textContent === "Live");
  await page.evaluate(() => document.querySelector("h1")!.focus());
  await page.offline(true);
  const alert = await page.find("alert");
  assert.ok(alert);
  // The view below the banner is the same as before, and has the focus.
  assert.equal(await page.evaluate(() => document.activeElement!.tagName), "H1");
  keep("lost", await page.screenshot());
  const { id } = await scene.titan.run({ name: "missed", jobs: [{ id: "a", run: "true" }] });
  const before = performance.now();
  await page.offline(false);
  await page.find("link", new RegExp(id));
  assert.ok(performance.now() - before < 10_000);
  await page.until("the banner is gone", () => document.querySelector(".banner") === null);
});

test("a clock that is an hour off, or is set while one looks, changes no time that is shown", {
  skip: noBrowser,
}, async () => {
  const { id } = await scene.titan.run({ name: "clock", jobs: [{ id: "a", run: "true" }] });
  const when = (): Promise<string> => page.until("the run is shown", (run: string) =>
    [...document.querySelectorAll(".run-row")].find((row) => row.textContent.includes(run))
      ?.querySelector(".run-when")?.textContent ?? "", id);
  for (const skew of [-1, 1]) {
    const { identifier } = await page.call("Page.addScriptToEvaluateOnNewDocument", {
      source: `{ const now = Date.now; globalThis.skewMs = ${skew * HOUR_MS};
        Date.now = () => now() + globalThis.skewMs; }`,
    });
    await page.navigate(`${scene.url}/runs?since=1h`);
    assert.match(await when(), SHORT_AGO, `${skew} h`);
    await page.call("Page.removeScriptToEvaluateOnNewDocument", { identifier });
  }
  const isEvents = (url: string): boolean => url.includes("/api/v1/events");
  const before = page.requests.filter(isEvents).length;
  await page.evaluate((ms) => void ((globalThis as { skewMs?: number }).skewMs = ms), 25 * HOUR_MS);
  await eventually("it asks for the master's time", () =>
    page.requests.filter(isEvents).length > before);
  await eventually("the time is the master's", async () => SHORT_AGO.test(await when()));
});

test("a master that comes again is noticed within 15 s, with what it did meanwhile", {
  skip: noBrowser,
}, async () => {
  await scene.restart(async () => void await page.find("alert"));
  const before = performance.now();
  const { run } = await scene.titan.submit(
    definePipeline({ name: "afterwards", jobs: [{ id: "a", run: "true" }] }, { file: "test" }));
  await page.find("link", run);
  assert.ok(performance.now() - before < 15_000);
  await page.until("the banner is gone", () => document.querySelector(".banner") === null);
});

test("a tab that nobody sees holds no connection, and catches up when it is shown", {
  skip: noBrowser,
}, async () => {
  const streams = async (): Promise<number> => {
    const metrics = await (await fetch(`${scene.url}/metrics`)).text();
    return Number(/^titan_event_streams (\d+)/m.exec(metrics)?.[1]);
  };
  const { run } = await scene.titan.submit(definePipeline(
    { name: "behind", jobs: [{ id: "a", run: "exec sleep 60" }] }, { file: "test" }));
  const first = await scene.browser.open(`${scene.url}/runs/${run}?view=events`, WIDE);
  const count = (type: string): Promise<number> => first.evaluate((name) =>
    (document.querySelector(".events")?.textContent ?? "").split(name).length - 1, type);
  await eventually("it is read", async () => (await count("JobStarted")) === 1);
  // Each of them hides the one before.
  const tabs: Page[] = [];
  for (let n = 0; n < 2; n++) tabs.push(await scene.browser.open(`${scene.url}/workers`, WIDE));
  await tabs.at(-1)!.find("rowheader", /^w\d/);
  await eventually("one stream is left", async () => (await streams()) === 1);
  for (let n = 0; n < 3; n++) {
    await scene.titan.cancel(run);
    await scene.titan.wait(run);
    await scene.titan.retry(run);
  }
  assert.equal(await count("JobsCancelled"), 0);
  await first.call("Page.bringToFront");
  await eventually("all of it is there", async () => (await count("JobStarted")) === 4);
  assert.deepEqual([await count("JobsCancelled"), await count("RunRetried")], [3, 3]);
  await scene.titan.cancel(run);
  const complaints = [first, ...tabs].flatMap((tab) => tab.complaints());
  assert.deepEqual(complaints, []);
  for (const tab of [first, ...tabs]) await tab.close();
});

test("seven windows side by side: each shows what happens, with six connections for all", {
  skip: noBrowser,
}, async () => {
  const go = join(mkdtempSync(join(tmpdir(), "titan-go-")), "go");
  const { run } = await scene.titan.submit(definePipeline({ name: "seen", jobs: [
    { id: "a", run: `echo one; until [ -e '${go}' ]; do sleep 0.1; done; echo two` },
  ] }, { file: "test" }));
  const windows: Page[] = [];
  // Seven streams of events and three logs that grow.
  for (const path of [...Array<string>(4).fill("/runs?name=seen"),
    ...Array<string>(3).fill(`/runs/${run}?job=a`)]) {
    windows.push(await scene.browser.open(scene.url + path, WIDE, { newWindow: true }));
  }
  const show = (log: string, status: string): Promise<unknown> =>
    Promise.all(windows.map((one, at) => one.until(`window ${at} shows ${log}, ${status}`,
      (text: string, state: string) => !document.hidden &&
        document.querySelector(".board, .run-row")?.textContent?.toLowerCase().includes(state) &&
        (document.querySelector('[role="log"]')?.textContent ?? text).includes(text),
      log, status)));
  const seats = (): Promise<(string | undefined)[]> => windows.at(-1)!.evaluate(async () =>
    (await navigator.locks.query()).held!.map(({ clientId }) => clientId).sort());
  await show("one", "running");
  const all = await seats();
  assert.equal(all.length, 4);
  writeFileSync(go, "");
  await show("two", "completed");
  // What a window had is another's when it is closed.
  await windows.shift()!.close();
  await windows.shift()!.close();
  await eventually("others sit there", async () => {
    const now = await seats();
    return now.length === 4 && now.some((one) => !all.includes(one));
  });
  for (const one of windows) {
    assert.deepEqual(one.complaints(), []);
    await one.close();
  }
});

test("nothing went wrong on the way: no error, no request elsewhere, no report", {
  skip: noBrowser,
}, () => {
  assert.deepEqual(page.complaints(), []);
});
