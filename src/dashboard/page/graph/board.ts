/**
 * Lesson 19: the graph of a run on the screen.
 *
 *     model.ts    jobs ──▶ nodes          painter.ts  nodes ──▶ picture (in a worker)
 *     camera.ts   which part is seen      index.ts    which nodes are in that part
 *     node.ts     a node as a button      paths.ts    edges, and nodes that are too small for one
 *     gestures.ts pointer, wheel, keys    minimap.ts  the whole, small
 *
 * Elements exist for what the screen shows and a quarter more on each side. Moving the camera moves
 * one element; elements are made and removed when it has moved that quarter away.
 *
 * Invariants: a change of states never moves a node; the node that has the focus always exists.
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, patch, type VNode } from "../vdom.ts";
import {
  begin, center, detailOf, fit, reveal, viewOf, zoomAt, type Box, type Camera, type Size,
} from "./camera.ts";
import { NodeIndex } from "./index.ts";
import { minimap } from "./minimap.ts";
import { graphModel, stateOf, type GraphJob, type GraphModel } from "./model.ts";
import { nodeTree, type Shown } from "./node.ts";
import { paint } from "./painter.ts";
import { boxPaths, edgePaths } from "./paths.ts";
import { boxOf, edgesInside, type Picture } from "./picture.ts";

/** Above so many nodes on the screen they are drawn as one path for each state. */
const MAX_BUTTONS = 1_200;
const ALL_BUTTONS = 150;
/** What is drawn beyond each side, as a share of the screen. */
const SPARE = 0.25;

export interface BoardProps {
  readonly run: string;
  /** In the order of the definition. The same array while the structure is the same. */
  readonly jobs: readonly GraphJob[];
  readonly shown: (job: number) => Shown;
  readonly opened: ReadonlySet<string>;
  readonly chosen: number | undefined;
  choose(job: number): void;
  open(stack: string): void;
}

export class Board {
  readonly root: HTMLElement;
  readonly #world: HTMLElement;
  readonly #map: HTMLElement;
  readonly #wait: HTMLElement;
  #props: BoardProps | undefined;
  #model: GraphModel | undefined;
  #picture: Picture | undefined;
  #index: NodeIndex | undefined;
  #camera: Camera = { x: 0, y: 0, zoom: 1 };
  #size: Size = { width: 0, height: 0 };
  #drawn: Box | undefined;
  /** Of each node; another array when one of them is another. */
  #states: readonly string[] = [];
  #focus = 0;
  #isMoved = false;
  #trees = new Map<number, { sign: string; tree: VNode }>();

  constructor(root: HTMLElement) {
    this.root = root;
    this.#world = document.createElement("div");
    this.#world.className = "world";
    this.#map = document.createElement("div");
    this.#map.className = "minimap";
    // The layout of thousands of jobs takes a moment.
    this.#wait = document.createElement("p");
    this.#wait.className = "loading graph-wait";
    this.#wait.textContent = "Arranging the jobs…";
    root.append(this.#world, this.#map, this.#wait);
    this.#size = { width: root.clientWidth, height: root.clientHeight };
  }

  get props(): BoardProps | undefined {
    return this.#props;
  }

  get graph(): { model: GraphModel; picture: Picture; index: NodeIndex } | undefined {
    if (this.#model === undefined || this.#picture === undefined) return undefined;
    return { model: this.#model, picture: this.#picture, index: this.#index! };
  }

  get camera(): Camera {
    return this.#camera;
  }

  get size(): Size {
    return this.#size;
  }

  get focus(): number {
    return this.#focus;
  }

  update(props: BoardProps): void {
    const before = this.#props;
    this.#props = props;
    if (before?.jobs !== props.jobs || before.opened !== props.opened) void this.#restructure();
    else {
      this.#readStates();
      this.#draw();
    }
    if (before !== undefined && before.chosen !== props.chosen) this.show(props.chosen);
  }

  /** The middle of the screen stays the middle, as long as the chosen job stays in sight. */
  resize(): void {
    const { width, height } = this.#size;
    this.#size = { width: this.root.clientWidth, height: this.root.clientHeight };
    if (!this.#isMoved) {
      this.#begin();
      return;
    }
    const { x, y, zoom } = this.#camera;
    const [across, down] = [(width - this.#size.width) / 2, (height - this.#size.height) / 2];
    this.move(this.#withChosen({ x: x + across / zoom, y: y + down / zoom, zoom }));
  }

  #begin(): void {
    if (this.#picture === undefined) return;
    this.#camera = begin(this.#picture, this.#size, {
      nodes: this.#model!.nodes.length, first: boxOf(this.#picture, 0),
    });
    this.#camera = this.#withChosen(this.#camera);
    this.#draw();
  }

  #withChosen(camera: Camera): Camera {
    const chosen = this.#props?.chosen;
    if (chosen === undefined || this.#picture === undefined) return camera;
    return reveal(camera, this.#size, boxOf(this.#picture, this.#model!.nodeOf[chosen] ?? 0));
  }

  /** All of it on the screen. */
  fit(): void {
    if (this.#picture === undefined) return;
    this.move(fit(this.#picture, this.#size));
  }

  /** Around the middle of the screen. */
  zoom(factor: number): void {
    const middle = { x: this.#size.width / 2, y: this.#size.height / 2 };
    this.move(zoomAt(this.#camera, middle, factor));
  }

  /** Gives the keyboard to the graph. */
  enter(): void {
    if (this.#picture !== undefined) this.focusNode(this.#focus);
  }

  /** `to`: where the camera goes. */
  move(to: Camera): void {
    this.#isMoved = true;
    this.#camera = to;
    this.#draw({ isMove: true });
  }

  /** Brings a job to the screen, as large as it can be read. */
  show(job: number | undefined, { isCentered = false } = {}): void {
    if (job === undefined || this.#picture === undefined) return;
    const node = this.#model!.nodeOf[job];
    if (node === undefined) return;
    this.#focus = node;
    const box = boxOf(this.#picture, node);
    this.move(isCentered ? center(this.#camera, this.#size, box)
      : reveal(this.#camera, this.#size, box));
  }

  /** The browser has given a node the focus. */
  takeFocus(node: number): void {
    this.#focus = node;
    this.#draw();
  }

  /** Gives a node the focus of the keyboard. */
  focusNode(node: number): void {
    this.#focus = node;
    this.move(reveal(this.#camera, this.#size, boxOf(this.#picture!, node)));
    this.#draw();
    this.#world.querySelector<HTMLElement>(`[data-node="${node}"]`)?.focus({ preventScroll: true });
  }

  /** Nodes from the jobs, and a picture of them; what stood somewhere stays near. */
  async #restructure(): Promise<void> {
    const { jobs, opened } = this.#props!;
    const model = graphModel(jobs, opened);
    const [oldModel, old] = [this.#model, this.#picture];
    if (model.shape === oldModel?.shape && old !== undefined) {
      this.#model = model;
      this.#trees.clear();
      this.#readStates();
      this.#draw();
      return;
    }
    const picture = await paint(model, old === undefined ? undefined : ysOf(model, oldModel!, old));
    // Another change came while this one was drawn.
    if (this.#props!.jobs !== jobs || this.#props!.opened !== opened) return;
    const focused = oldModel?.nodes[this.#focus]?.jobs[0];
    this.#model = model;
    this.#picture = picture;
    this.#index = new NodeIndex(picture);
    this.#wait.remove();
    this.#readStates();
    this.#focus = focused === undefined ? 0 : model.nodeOf[focused]!;
    this.#trees.clear();
    this.#drawn = undefined;
    if (!this.#isMoved) this.#begin();
    else this.#draw();
  }

  #draw({ isMove = false } = {}): void {
    const graph = this.graph;
    if (graph === undefined || this.#size.width === 0) return;
    const { x, y, zoom } = this.#camera;
    this.#world.style.transform = `translate(${-x * zoom}px, ${-y * zoom}px) scale(${zoom})`;
    this.#world.style.setProperty("--zoom", String(zoom));
    const view = viewOf(this.#camera, this.#size);
    patch(this.#map, minimap({ picture: graph.picture, view, states: this.#states }));
    // As long as the screen is inside what is drawn, and nothing is read from the size of it.
    if (isMove && this.#drawn !== undefined && contains(this.#drawn, view)) return;
    this.#drawn = viewOf(this.#camera, this.#size, SPARE);
    patch(this.#world, this.#tree(graph, this.#drawn));
  }

  #tree(graph: { model: GraphModel; picture: Picture; index: NodeIndex }, box: Box): VNode {
    const { model, picture, index } = graph;
    const inside = index.inside(box);
    const isFar = inside.length > MAX_BUTTONS;
    // A small graph has all of its buttons, wherever the camera is.
    const isSmall = model.nodes.length <= ALL_BUTTONS;
    const nodes = isFar ? [] : isSmall ? model.nodes.keys() : inside;
    const { chosen } = this.#props!;
    const chosenNode = chosen === undefined ? -1 : model.nodeOf[chosen] ?? -1;
    const buttons = new Set(nodes).add(this.#focus);
    if (chosenNode >= 0) buttons.add(chosenNode);
    return h("div", { class: "world-content" },
      h("svg", { class: "world-paths", "aria-hidden": "true" },
        edgePaths({
          picture, edges: edgesInside(picture, box), states: this.#states, chosenNode,
        }),
        isFar ? boxPaths(picture, inside, this.#states) : null),
      [...buttons].sort((a, b) => a - b).filter((node) => node < model.nodes.length)
        .map((node) => this.#node(node, { isChosen: node === chosenNode })));
  }

  /** The tree of a node that looks as it did is the same object, and costs nothing. */
  #node(number: number, { isChosen }: { isChosen: boolean }): VNode {
    const { shown } = this.#props!;
    const node = this.#model!.nodes[number]!;
    const detail = detailOf(this.#camera);
    const isEntry = number === this.#focus;
    const looks = node.jobs.length === 1
      ? `${shown(node.jobs[0]!).status} ${shown(node.jobs[0]!).note}`
      : node.jobs.map((job) => shown(job).status).join();
    const sign = `${detail} ${isChosen} ${isEntry} ${looks}`;
    const known = this.#trees.get(number);
    if (known?.sign === sign) return known.tree;
    const at = boxOf(this.#picture!, number);
    const tree = nodeTree({ node, shown, detail, at, number, isChosen, isEntry });
    this.#trees.set(number, { sign, tree });
    return tree;
  }

  #readStates(): void {
    if (this.#model === undefined) return;
    const { shown } = this.#props!;
    const states = this.#model.nodes.map((node) => stateOf(node, (job) => shown(job).status));
    const isSame = states.length === this.#states.length &&
      states.every((state, at) => state === this.#states[at]);
    if (!isSame) this.#states = states;
  }
}

function contains(outer: Box, inner: Box): boolean {
  // After zooming in, what is drawn would be coarse.
  if (inner.width * 3 < outer.width) return false;
  return inner.x >= outer.x && inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height;
}

/** How far down each node of the new model stood in the old picture. */
function ysOf(model: GraphModel, old: GraphModel, picture: Picture): (number | undefined)[] {
  return model.nodes.map(({ jobs }) => {
    const before = old.nodeOf[jobs[0]!];
    return before === undefined ? undefined : picture.ys[before];
  });
}
