/** What a person's hands do in the constructor: for tests in a real browser. */
import type { Page } from "./lib/browser.ts";

export interface Spot {
  readonly x: number;
  readonly y: number;
}

export function handsOf(page: () => Page) {
  const yaml = (): Promise<string> => page().evaluate(() =>
    document.querySelector<HTMLTextAreaElement>("textarea[aria-label=YAML]")!.value);

  async function untilYaml(pattern: RegExp): Promise<string> {
    await page().until(`the YAML matches ${pattern}`, (source) =>
      new RegExp(source).test(
        document.querySelector<HTMLTextAreaElement>("textarea[aria-label=YAML]")!.value),
    pattern.source);
    return yaml();
  }

  async function write(text: string, label = "YAML"): Promise<void> {
    await page().evaluate((value, name) => {
      const area = document.querySelector<HTMLTextAreaElement>(`textarea[aria-label="${name}"]`)!;
      area.value = value;
      area.dispatchEvent(new Event("input"));
    }, text, label);
  }

  /** The middle of a part of a node, when the nodes have come to rest. */
  const spot = (key: string, part = ".build-id"): Promise<Spot> =>
    page().until(`${key} is there`, async (id, selector) => {
      // What is about to move has begun to, two frames later. A page that nobody sees draws none.
      await new Promise<unknown>((drawn) => {
        setTimeout(drawn, 500);
        requestAnimationFrame(() => requestAnimationFrame(drawn));
      });
      const node = document.querySelector(`.build-node[data-key="${id}"] ${selector}`);
      const box = node?.getBoundingClientRect();
      if (box === undefined) return undefined;
      const own = window as unknown as { last?: string };
      const [before, now] = [own.last, `${id} ${box.x} ${box.y}`];
      own.last = now;
      return before === now && { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    }, key, part) as Promise<Spot>;

  async function fill(name: string, text: string): Promise<void> {
    await page().focus("textbox", name);
    await page().evaluate(() => (document.activeElement as HTMLInputElement).select());
    await page().type(text);
  }

  async function drag(from: Spot, to: Spot, { modifiers = 0, drop = true } = {}): Promise<void> {
    const mouse = (type: string, { x, y }: Spot): Promise<unknown> =>
      page().call("Input.dispatchMouseEvent", {
        type, x, y, button: "left", buttons: 1, clickCount: 1, modifiers,
      });
    await page().call("Input.dispatchMouseEvent", { type: "mouseMoved", ...from });
    await mouse("mousePressed", from);
    for (let at = 1; at <= 4; at++) {
      const part = at / 4;
      await mouse("mouseMoved", {
        x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part,
      });
    }
    if (drop) await mouse("mouseReleased", to);
  }

  const drop = ({ x, y }: Spot): Promise<unknown> => page().call("Input.dispatchMouseEvent",
    { type: "mouseReleased", x, y, button: "left", clickCount: 1 });

  async function link(from: string, to: string): Promise<void> {
    await drag(await spot(from, ".build-port-out"), await spot(to));
  }

  const touch = (type: string, ...touchPoints: Spot[]): Promise<unknown> =>
    page().call("Input.dispatchTouchEvent", { type, touchPoints });

  /** Chooses files in the field for files of this part of the page. */
  async function upload(part: string, files: readonly string[]): Promise<void> {
    const { result } = await page().call("Runtime.evaluate", {
      expression: `document.querySelector("${part} input[type=file]")`,
    });
    await page().call("DOM.setFileInputFiles", { files, objectId: result.objectId });
  }

  async function choose(label: string, value: string): Promise<void> {
    await page().until(`${value} is chosen as ${label}`, (name, wanted) => {
      const select = [...document.querySelectorAll<HTMLSelectElement>("select")].find((each) =>
        each.getAttribute("aria-label") === name ||
        each.closest("label")?.firstChild?.textContent === name);
      if (![...select?.options ?? []].some((option) => option.value === wanted)) return false;
      select!.value = wanted;
      return select!.dispatchEvent(new Event("change", { bubbles: true }));
    }, label, value);
  }

  return { yaml, untilYaml, write, spot, fill, drag, drop, link, touch, upload, choose };
}
