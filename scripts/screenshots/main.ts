/**
 * `npm run -s screenshots [-- --out DIR] [NAME…]`: pictures of the dashboard's main views, made in
 * headless Chromium before a real cluster that is busy. They stand in README, docs and lessons.
 *
 * Each picture holds less than MAX_BYTES, or the repository would grow with each new one.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Page } from "../../test/lib/browser.ts";
import { openDashboard } from "../../test/lib/dashboard.ts";
import { ROOT } from "../bootstrap.mjs";
import { makeBusy } from "./scene.ts";

const MAX_BYTES = 160_000;
/** Before that, charts have no line to show. */
const CHART_MS = 14_000;

interface Shot {
  readonly name: string;
  readonly path: string;
  readonly theme: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
  /** What must be there: text of the page. */
  readonly shows: string;
  /** Pressed once that is there. */
  readonly presses?: readonly string[];
  /** Typed into the box of this name first. */
  readonly types?: { readonly into: string; readonly text: string };
}

const PIPELINE = `# Every night at two, and somebody looks before it goes out.
name: nightly
jobs:
  - id: extract
    run: ./extract --rows 1000
  - {id: clean, run: ./clean, needs: extract}
  - {id: train, run: ./train, needs: clean, requirement: GPU}
  - {id: score, run: ./score, needs: [clean, train]}
  - id: review
    run: cat report.md
    needs: score
    hitl_message: Ship it?
  - {id: ship, run: ./ship, needs: review}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true, options: { out: { type: "string", default: join(ROOT, "docs/images") } },
});
const out = resolve(values.out);
mkdirSync(out, { recursive: true });

const scene = await openDashboard({ workers: 3, slots: 4 });
try {
  const { fan, past } = await makeBusy(scene.titan);
  const shots: readonly Shot[] = [
    { name: "overview-light", path: "/", theme: "light", shows: fan },
    { name: "overview-dark", path: "/", theme: "dark", shows: fan },
    { name: "runs", path: "/runs", theme: "light", shows: fan },
    { name: "run", path: `/runs/${fan}`, theme: "dark", shows: fan },
    { name: "workers", path: "/workers", theme: "light", shows: "w3" },
    { name: "approvals", path: "/approvals", theme: "light", shows: "Approvals" },
    { name: "services", path: "/services", theme: "light", shows: "Services" },
    { name: "agents", path: "/agents", theme: "light", shows: "Agents" },
    { name: "constructor", path: "/constructor", theme: "light", height: 600,
      shows: "Constructor",
      types: { into: "YAML", text: PIPELINE } },
    { name: "past", path: `/runs/${past}?at=1`, theme: "light", height: 1040, shows: "append",
      presses: Array.from({ length: 9 }, () => "ArrowRight") },
    { name: "narrow", path: "/", theme: "dark", width: 360, height: 720, shows: "Overview" },
  ];
  const page = await scene.browser.open(scene.url);
  await new Promise((done) => setTimeout(done, CHART_MS));
  const wanted = shots.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  for (const shot of wanted) await take(page, shot);
  for (const text of page.complaints()) console.error(text);
} finally {
  await scene.close();
}

async function take(page: Page, shot: Shot): Promise<void> {
  const { name, path, theme, width = 1280, height = 800, shows } = shot;
  await page.resize({ width, height });
  await page.theme(theme);
  // As a person does it: loaded anew, the charts would be empty.
  await page.evaluate((to: string) => {
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
    scrollTo(0, 0);
  }, path);
  await page.until(`${name} shows ${shows}`, (text: string) =>
    document.querySelector("main")!.textContent.includes(text), shows);
  if (shot.presses !== undefined) await page.focus("slider");
  for (const key of shot.presses ?? []) await page.press(key);
  if (shot.types !== undefined) {
    const { into, text } = shot.types;
    await page.focus("textbox", into);
    await page.evaluate((typed: string) => {
      const box = document.activeElement as HTMLTextAreaElement;
      box.select();
      document.execCommand("insertText", false, typed);
    }, text);
    await page.click("button", "Arrange");
    await page.click("button", "Fit");
  }
  // Pictures of what is still moving differ each time.
  await new Promise((done) => setTimeout(done, 1_000));
  const png = await page.screenshot();
  if (png.length > MAX_BYTES) throw new Error(`${name}: ${png.length} bytes exceed ${MAX_BYTES}`);
  writeFileSync(join(out, `${name}.png`), png);
  console.log(`${name}.png  ${(png.length / 1000).toFixed(0)} KB`);
}
