/**
 * Lesson 19: which part of a picture is on the screen, and how large.
 *
 *     world ──▶ screen        screen = (world - camera) * zoom
 *
 * Pure: a camera goes in, another one comes out.
 *
 * Invariant: zoom stays between MIN_ZOOM and MAX_ZOOM; zooming leaves the point under the pointer
 * where it is.
 * Test: test/19-dashboard.run.test.ts
 */
export interface Camera {
  /** The point of the world in the upper left corner of the screen. */
  readonly x: number;
  readonly y: number;
  /** Pixels for each unit of the world. */
  readonly zoom: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Box extends Size {
  readonly x: number;
  readonly y: number;
}

/** Ten thousand jobs in one column of 60 units each still fit 1,000 pixels. */
const MIN_ZOOM = 1 / 1024;
const MAX_ZOOM = 2;
/** So many names are worth reading at first sight. */
const FEW_NODES = 60;
/** Thinner than this, a whole graph is a line in which nobody sees anything. */
const THREAD_PX = 80;
/** Room around a picture that fits, in pixels. */
const MARGIN = 24;

/** How much of a node there is room for. */
export type Detail = "card" | "label" | "box";

/** A line of text is readable from 8 pixels on: two lines in a card, one in a label. */
const CARD_ZOOM = 0.72;
const LABEL_ZOOM = 0.36;

export function detailOf({ zoom }: Camera): Detail {
  if (zoom >= CARD_ZOOM) return "card";
  return zoom >= LABEL_ZOOM ? "label" : "box";
}

function clampZoom(zoom: number): number {
  return Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, zoom));
}

/** All of the world in the middle of the screen, and never larger than life. */
export function fit(world: Size, screen: Size): Camera {
  const across = (screen.width - 2 * MARGIN) / Math.max(1, world.width);
  const down = (screen.height - 2 * MARGIN) / Math.max(1, world.height);
  const zoom = clampZoom(Math.min(1, across, down));
  return {
    x: (world.width - screen.width / zoom) / 2, y: (world.height - screen.height / zoom) / 2, zoom,
  };
}

/**
 * The first look: all of it, unless names could not be read then. A small graph begins where the
 * run began, at its first job, and is larger than the screen; so does one that is a thread.
 */
export function begin(
  world: Size, screen: Size, { nodes, first }: { nodes: number; first: Box },
): Camera {
  const whole = fit(world, screen);
  const isThread = Math.min(world.width, world.height) * whole.zoom < THREAD_PX;
  if (whole.zoom >= LABEL_ZOOM || (nodes > FEW_NODES && !isThread)) return whole;
  const zoom = LABEL_ZOOM * 1.2;
  const place = (length: number, room: number, middle: number): number => {
    if (length * zoom <= room) return (length - room / zoom) / 2;
    const margin = MARGIN / zoom;
    return between(middle - room / zoom / 2, -margin, length - room / zoom + margin);
  };
  return {
    x: place(world.width, screen.width, first.x + first.width / 2),
    y: place(world.height, screen.height, first.y + first.height / 2), zoom,
  };
}

/** `point`: on the screen. It shows the same place of the world afterwards. */
export function zoomAt(camera: Camera, point: { x: number; y: number }, factor: number): Camera {
  const zoom = clampZoom(camera.zoom * factor);
  return {
    x: camera.x + point.x / camera.zoom - point.x / zoom,
    y: camera.y + point.y / camera.zoom - point.y / zoom, zoom,
  };
}

/** By pixels of the screen. Something of the world always stays on the screen. */
export function pan(camera: Camera, by: { x: number; y: number }, bounds: {
  world: Size; screen: Size;
}): Camera {
  const { world, screen } = bounds;
  const [width, height] = [screen.width / camera.zoom, screen.height / camera.zoom];
  return {
    x: between(camera.x - by.x / camera.zoom, -width * 0.9, world.width - width * 0.1),
    y: between(camera.y - by.y / camera.zoom, -height * 0.9, world.height - height * 0.1),
    zoom: camera.zoom,
  };
}

function between(value: number, least: number, most: number): number {
  return Math.max(Math.min(least, most), Math.min(Math.max(least, most), value));
}

/** What the screen shows of the world, and `more` (a share of its size) on each side. */
export function viewOf(camera: Camera, screen: Size, more = 0): Box {
  const [width, height] = [screen.width / camera.zoom, screen.height / camera.zoom];
  return {
    x: camera.x - width * more, y: camera.y - height * more,
    width: width * (1 + 2 * more), height: height * (1 + 2 * more),
  };
}

/** Moves as little as needed for all of the box to be on the screen. */
export function reveal(camera: Camera, screen: Size, box: Box): Camera {
  const margin = MARGIN / camera.zoom;
  const view = viewOf(camera, screen);
  return {
    x: edge(view.x, view.width, { from: box.x - margin, to: box.x + box.width + margin }),
    y: edge(view.y, view.height, { from: box.y - margin, to: box.y + box.height + margin }),
    zoom: camera.zoom,
  };
}

function edge(from: number, length: number, wanted: { from: number; to: number }): number {
  if (wanted.from < from || wanted.to - wanted.from > length) return wanted.from;
  return wanted.to > from + length ? wanted.to - length : from;
}

/** The box in the middle, large enough to be read. */
export function center(camera: Camera, screen: Size, box: Box): Camera {
  const zoom = Math.max(camera.zoom, CARD_ZOOM);
  return {
    x: box.x + box.width / 2 - screen.width / zoom / 2,
    y: box.y + box.height / 2 - screen.height / zoom / 2, zoom,
  };
}
