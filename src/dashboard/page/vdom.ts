/**
 * Lesson 19: the page as a value. A view returns a tree of what should be there; `patch()` makes
 * the document so, and touches only what differs.
 *
 *     h("li", { key: run.id, class: "row" }, h("a", { href }, run.id))
 *
 *     old children   a  b  c  d          a node is used again for the child with its key (and
 *     new children   a  c  e  d          tag); without keys, for the next child of its tag
 *                    │  │  +  │          first all are removed that nobody wants (b), then the
 *                    a  c  e  d          others are put in order from left to right
 *
 * A tree that is the same object as last time is not looked at: rows that are made once and kept
 * cost nothing.
 *
 * Props: `class`; `style` (an object); `onclick` and its like; `value`, `checked` and others of
 * LIVE are set when the document differs, since people type; `hook` for elements that need more;
 * everything else is an attribute. True is an attribute without a value, false and undefined none;
 * in `aria-…` they are words.
 *
 * Invariants: nothing here ever makes markup from a text, so no name of a job can; an element has
 * the children that its tree says, unless it is `opaque`.
 * Left out: components with a state of their own. There is one state (state.ts).
 * Test: test/19-dashboard.shell.test.ts
 */
export type Child = VNode | string | number | boolean | null | undefined | readonly Child[];
type Flat = VNode | string;
export type Props = Readonly<Record<string, unknown>>;

export interface VNode {
  readonly tag: string;
  readonly key: string | number | undefined;
  readonly props: Props;
  readonly children: readonly Flat[];
}

/** For canvases, scrolled rows, dialogs: what an element needs besides attributes. */
export interface Hook {
  /** After the element has come into the document. What it returns is called when it goes. */
  mount?(element: HTMLElement): (() => void) | void;
  /** After each patch of the element. */
  update?(element: HTMLElement): void;
}

export function h(tag: string, props: Props | null = null, ...children: Child[]): VNode {
  const own = props ?? {};
  return { tag, key: own["key"] as VNode["key"], props: own, children: flat(children) };
}

function flat(children: readonly Child[]): Flat[] {
  return children.flatMap((child): Flat[] => {
    if (Array.isArray(child)) return flat(child as readonly Child[]);
    if (child === null || child === undefined || typeof child === "boolean" || child === "") {
      return [];
    }
    return [typeof child === "object" ? (child as VNode) : String(child)];
  });
}

const SVG = "http://www.w3.org/2000/svg";
/** Properties that people change, too. */
const LIVE = new Set(["value", "checked", "indeterminate", "selected", "scrollTop"]);
const NO_ATTRIBUTE = new Set(["key", "hook", "opaque", "style"]);

/** What stands in an element now. */
const shown = new WeakMap<Node, readonly Flat[]>();
const cleanups = new WeakMap<Node, () => void>();

/** Makes `tree` the only content of `root`. */
export function patch(root: Element, tree: VNode): void {
  const after: (() => void)[] = [];
  patchChildren(root, [tree], after);
  for (const run of after) run();
}

// #region children
function patchChildren(parent: Element, next: readonly Flat[], after: (() => void)[]): void {
  const old = shown.get(parent) ?? [];
  if (old === next) return;
  shown.set(parent, next);
  const { childNodes } = parent;
  // Most lists change inside of a child or at their end: nobody is looked for before that.
  let same = 0;
  for (; same < old.length && same < next.length; same++) {
    const change = { old: old[same]!, next: next[same]!, after };
    if (change.old === change.next) continue;
    if (identity(change.old) !== identity(change.next)) break;
    patchNode(childNodes[same]!, change);
  }
  const nodes = same < old.length ? [...childNodes] : [];
  const free = new Map<string, number[]>();
  for (let at = old.length - 1; at >= same; at--) {
    const name = identity(old[at]!);
    const places = free.get(name);
    if (places === undefined) free.set(name, [at]);
    else places.push(at);
  }
  const rest = next.slice(same);
  const taken = rest.map((child) => free.get(identity(child))?.pop());
  for (const places of free.values()) {
    for (const at of places) remove(nodes[at]!, old[at]!);
  }
  let cursor = childNodes[same] ?? null;
  for (const [index, child] of rest.entries()) {
    const at = taken[index];
    const node = at === undefined ? create(child, parent, after) : nodes[at]!;
    if (at !== undefined) patchNode(node, { old: old[at]!, next: child, after });
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
}
// #endregion

function identity(child: Flat): string {
  if (typeof child === "string") return "#text";
  return child.key === undefined ? child.tag : `${child.tag} ${child.key}`;
}

interface Change {
  readonly old: Flat;
  readonly next: Flat;
  readonly after: (() => void)[];
}

function patchNode(node: Node, { old, next, after }: Change): void {
  if (old === next) return;
  if (typeof next === "string" || typeof old === "string") {
    node.nodeValue = next as string;
    return;
  }
  const element = node as HTMLElement;
  if (next.props["opaque"] !== true) patchChildren(element, next.children, after);
  setProps(element, old.props, next.props);
  const { update } = (next.props["hook"] ?? {}) as Hook;
  if (update !== undefined) after.push(() => update(element));
}

function create(child: Flat, parent: Element, after: (() => void)[]): Node {
  if (typeof child === "string") return document.createTextNode(child);
  const isSvg = child.tag === "svg" ||
    (parent.namespaceURI === SVG && parent.localName !== "foreignObject");
  const element = (isSvg
    ? document.createElementNS(SVG, child.tag)
    : document.createElement(child.tag)) as HTMLElement;
  patchChildren(element, child.children, after);
  setProps(element, {}, child.props);
  const { mount, update } = (child.props["hook"] ?? {}) as Hook;
  if (mount !== undefined || update !== undefined) {
    after.push(() => {
      const cleanup = mount?.(element);
      if (cleanup) cleanups.set(element, cleanup);
      update?.(element);
    });
  }
  return element;
}

function remove(node: Node, was: Flat): void {
  clean(node, was);
  node.parentNode?.removeChild(node);
}

function clean(node: Node, was: Flat): void {
  if (typeof was === "string") return;
  cleanups.get(node)?.();
  const below = shown.get(node) ?? [];
  for (const [at, child] of below.entries()) {
    const own = node.childNodes[at];
    if (own !== undefined) clean(own, child);
  }
}

function setProps(element: HTMLElement, old: Props, next: Props): void {
  for (const name of Object.keys(old)) {
    if (!(name in next)) setProp(element, name, undefined);
  }
  for (const [name, value] of Object.entries(next)) {
    if (LIVE.has(name) || old[name] !== value) setProp(element, name, value);
  }
  if (old["style"] !== next["style"]) {
    setStyle(element, (old["style"] ?? {}) as Styles, (next["style"] ?? {}) as Styles);
  }
}

type Styles = Readonly<Record<string, string | number | undefined>>;

/** By the object model, which a page may do; a style attribute is forbidden by our headers. */
function setStyle(element: HTMLElement, old: Styles, next: Styles): void {
  for (const name of Object.keys({ ...old, ...next })) {
    if (old[name] !== next[name]) element.style.setProperty(name, String(next[name] ?? ""));
  }
}

function setProp(element: HTMLElement, name: string, value: unknown): void {
  if (NO_ATTRIBUTE.has(name)) return;
  const own = element as unknown as Record<string, unknown>;
  if (name.startsWith("on")) own[name] = value ?? null;
  else if (LIVE.has(name)) {
    if (value !== undefined && own[name] !== value) own[name] = value;
  } else if (name.startsWith("aria-") && value !== undefined && value !== null) {
    element.setAttribute(name, String(value));
  } else if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else element.setAttribute(name, value === true ? "" : String(value));
}
