/**
 * A tab of the browser, and what a person does with it.
 *
 * Elements are found as assistive technology finds them: by their role and their name, in the
 * accessibility tree. What cannot be found like this cannot be used by everybody.
 */
import type { Answer, Cdp, Params } from "./cdp.ts";

/** Nothing here takes long; on a busy machine everything does. */
const PATIENCE_MS = 40_000;
/** Between two looks. */
const LOOK_MS = 20;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What assistive technology knows of an element. */
export interface Node {
  readonly role: string;
  readonly name: string;
  /** "checked", "expanded", "level", "focused", "disabled", …, as far as there are. */
  readonly states: Readonly<Record<string, unknown>>;
  readonly backend: number;
}

type Name = string | RegExp;

interface PageParts {
  readonly cdp: Cdp;
  readonly sessionId: string;
  readonly targetId: string;
}

/**
 * Keys that are no letters, as browsers number them. A sign has no number here: that of its
 * character is another key's (' is 39, an arrow), and where it stands depends on the keyboard.
 */
const KEY_CODES: Readonly<Record<string, number>> = {
  Enter: 13, Escape: 27, Tab: 9, Backspace: 8, Delete: 46, ArrowLeft: 37, ArrowUp: 38,
  ArrowRight: 39, ArrowDown: 40, Home: 36, End: 35, PageUp: 33, PageDown: 34, " ": 32,
};
const MODIFIERS: Readonly<Record<string, number>> = { Alt: 1, Control: 2, Meta: 4, Shift: 8 };

export class Page {
  readonly #parts: PageParts;
  readonly #complaints: string[] = [];
  /** Addresses of all requests. */
  readonly requests: string[] = [];
  #origin = "";
  #loaded: () => void = () => undefined;

  constructor(parts: PageParts) {
    this.#parts = parts;
    parts.cdp.listen(parts.sessionId, (method, params) => this.#event(method, params));
  }

  /** Any method of the protocol, for what has no name here. */
  call(method: string, params: Params = {}): Promise<Answer> {
    return this.#parts.cdp.call(method, params, this.#parts.sessionId);
  }

  async begin(size: Size): Promise<void> {
    await Promise.all([
      ...["Page", "Runtime", "Log", "Network", "DOM", "Accessibility"]
        .map((domain) => this.call(`${domain}.enable`)),
      this.call("Page.addScriptToEvaluateOnNewDocument", {
        source: 'addEventListener("securitypolicyviolation", (event) => console.error(' +
          '"CSP: " + event.violatedDirective + " " + event.blockedURI));',
      }),
      this.resize(size),
    ]);
  }

  async resize({ width, height }: Size): Promise<void> {
    await this.call("Emulation.setDeviceMetricsOverride", {
      width, height, deviceScaleFactor: 1, mobile: false,
    });
  }

  /** What the system prefers: `theme("dark")`, `media("prefers-reduced-motion", "reduce")`. */
  async media(name: string, value: string): Promise<void> {
    await this.call("Emulation.setEmulatedMedia", { features: [{ name, value }] });
  }

  theme(name: "light" | "dark"): Promise<void> {
    return this.media("prefers-color-scheme", name);
  }

  async navigate(url: string): Promise<void> {
    this.#origin = new URL(url).origin;
    const loaded = new Promise<void>((resolve) => (this.#loaded = resolve));
    const { errorText } = await this.call("Page.navigate", { url });
    if (errorText) throw new Error(`Cannot open ${url}: ${errorText}`);
    await loaded;
  }

  async reload(): Promise<void> {
    const loaded = new Promise<void>((resolve) => (this.#loaded = resolve));
    await this.call("Page.reload");
    await loaded;
  }

  /** `offline(true)`: as when the cable is pulled. */
  async offline(offline: boolean): Promise<void> {
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await this.call("Network.emulateNetworkConditions", { offline, ...none });
  }

  /** Runs a function in the page. Its arguments and its result are JSON. */
  async evaluate<T, A extends unknown[]>(work: (...args: A) => T, ...args: A): Promise<Awaited<T>> {
    // The tests' compiler gives functions their names by a function of its own.
    const expression = `((__name) => (${work})(...${JSON.stringify(args)}))((named) => named)`;
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails === undefined) return result.value;
    const { exception, text } = exceptionDetails;
    throw new Error(`In the page: ${exception?.description ?? text}`);
  }

  /** Looks until the function gives something that is true, which is the result. */
  async until<T, A extends unknown[]>(
    what: string, work: (...args: A) => T, ...args: A
  ): Promise<Awaited<T>> {
    return this.#until(what, () => this.evaluate(work, ...args));
  }

  async #until<T>(what: string, look: () => Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
    const end = performance.now() + patienceMs;
    let last = "";
    while (performance.now() < end) {
      try {
        const found = await look();
        if (found) return found;
        last = "";
      } catch (error) {
        // A page that is being replaced has nothing to look at.
        last = `; ${(error as Error).message}`;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    throw new Error(`Waited ${patienceMs / 1000} s in vain until ${what}${last}`);
  }

  /** The accessibility tree, without what it ignores. */
  async tree(): Promise<Node[]> {
    return nodesOf(await this.call("Accessibility.getFullAXTree"));
  }

  /**
   * Asked for by their role: a whole tree has 200 kB, which the browser writes and we read, for
   * each look of one who waits.
   */
  async all(role: string, name: Name = /(?:)/): Promise<Node[]> {
    const { result } = await this.call("Runtime.evaluate", { expression: "document" });
    const { objectId } = result;
    const found = nodesOf(await this.call("Accessibility.queryAXTree", { objectId, role }));
    return found.filter((node) =>
      typeof name === "string" ? node.name === name : name.test(node.name));
  }

  /** The first element of this role and name; waits for it. */
  find(role: string, name: Name = /(?:)/, patienceMs = PATIENCE_MS): Promise<Node> {
    const what = `there is a ${role} named ${name}`;
    return this.#until(what, async () => (await this.all(role, name))[0]!, patienceMs);
  }

  /** Until none is left. */
  async gone(role: string, name: Name): Promise<void> {
    await this.#until(`no ${role} is named ${name}`, async () =>
      (await this.all(role, name)).length === 0);
  }

  async click(role: string, name: Name = /(?:)/): Promise<void> {
    await this.#until(`a ${role} named ${name} could be clicked`, async () => {
      const { backend } = await this.find(role, name);
      await this.call("DOM.scrollIntoViewIfNeeded", { backendNodeId: backend });
      const { quads } = await this.call("DOM.getContentQuads", { backendNodeId: backend });
      const [x1, y1, , , x3, y3] = quads[0] as number[];
      await this.clickAt((x1! + x3!) / 2, (y1! + y3!) / 2);
      return true;
    });
  }

  async clickAt(x: number, y: number): Promise<void> {
    const at = { x, y, button: "left", clickCount: 1 };
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mouseMoved", button: "none" });
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mousePressed" });
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mouseReleased" });
  }

  /** Puts the keyboard's focus there, once it is taken: a button may be disabled for a moment. */
  async focus(role: string, name: Name = /(?:)/): Promise<void> {
    await this.#until(`a ${role} named ${name} takes the focus`, async () => {
      const { backend } = await this.find(role, name);
      await this.call("DOM.focus", { backendNodeId: backend });
      return true;
    });
  }

  /** A key, perhaps with others held: "Enter", "g", "Control+k", "Shift+Tab". */
  async press(keys: string): Promise<void> {
    const held = keys === "+" ? [] : keys.split("+").slice(0, -1);
    const key = keys === "+" ? keys : keys.split("+").at(-1)!;
    const modifiers = held.reduce((sum, name) => sum + (MODIFIERS[name] ?? 0), 0);
    const code = KEY_CODES[key] ?? (/^[a-z\d]$/i.test(key) ? key.toUpperCase().charCodeAt(0) : 0);
    const isTyped = key.length === 1 && (modifiers & ~8) === 0;
    const text = isTyped ? key : key === "Enter" ? "\r" : undefined;
    const event = { key, modifiers, windowsVirtualKeyCode: code, code: codeOf(key) };
    await this.call("Input.dispatchKeyEvent", {
      ...event, type: text === undefined ? "rawKeyDown" : "keyDown", ...(text && { text }),
    });
    await this.call("Input.dispatchKeyEvent", { ...event, type: "keyUp" });
  }

  async type(text: string): Promise<void> {
    for (const char of text) {
      if (/^[ -~]$/.test(char)) await this.press(char);
      else await this.call("Input.insertText", { text: char });
    }
  }

  async screenshot(options: Params = {}): Promise<Buffer> {
    const { data } = await this.call("Page.captureScreenshot", { format: "png", ...options });
    return Buffer.from(data, "base64");
  }

  /** By how many pixels the page is wider than its window. */
  overflow(): Promise<number> {
    return this.evaluate(() =>
      document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  /** Everything that should not have happened: errors, requests elsewhere, reports of the CSP. */
  complaints(): readonly string[] {
    return this.#complaints;
  }

  async close(): Promise<void> {
    const { cdp, targetId } = this.#parts;
    await cdp.call("Target.closeTarget", { targetId });
  }

  #event(method: string, params: Answer): void {
    if (method === "Page.loadEventFired") this.#loaded();
    else if (method === "Network.requestWillBeSent") this.#request(params.request.url);
    else if (method === "Runtime.exceptionThrown") {
      const { exception, text } = params.exceptionDetails;
      this.#complaints.push(`exception: ${exception?.description ?? text}`);
    } else if (method === "Runtime.consoleAPICalled" && params.type === "error") {
      const said = params.args.map(({ value, description }: Answer) => value ?? description);
      this.#complaints.push(`console: ${said.join(" ")}`);
    } else if (method === "Log.entryAdded" && isComplaint(params.entry)) {
      this.#complaints.push(`log: ${params.entry.text} ${params.entry.url ?? ""}`);
    }
  }

  #request(url: string): void {
    this.requests.push(url);
    if (!url.startsWith(`${this.#origin}/`) && !/^(?:data|blob|about):/.test(url)) {
      this.#complaints.push(`request: ${url}`);
    }
  }
}

/** As the protocol has them, in the order of the document. */
function nodesOf({ nodes }: Answer): Node[] {
  return (nodes as Answer[]).filter(({ ignored }) => !ignored).map((node) => ({
    role: String(node.role?.value ?? ""), name: String(node.name?.value ?? ""),
    states: Object.fromEntries((node.properties ?? [])
      .map(({ name, value }: Answer) => [name, value.value])),
    backend: node.backendDOMNodeId as number,
  }));
}

/** A browser tells of every request that finds nobody, and no page can help it. */
function isComplaint({ level, source, text }: Answer): boolean {
  return level === "error" && !(source === "network" && /net::ERR_/.test(text));
}

function codeOf(key: string): string {
  if (/^[a-z]$/i.test(key)) return `Key${key.toUpperCase()}`;
  return key === " " ? "Space" : key;
}
