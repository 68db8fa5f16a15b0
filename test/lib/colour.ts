/**
 * Arithmetic of colours, for what people can tell apart.
 *
 *     #0b5cad ──▶ linear light ──▶ luminance, and with it contrast (WCAG 2.2)
 *                      └──▶ as people without green cones see it (Machado et al. 2009)
 *                      └──▶ CIELAB, D65 ──▶ distance ΔE (CIEDE2000; Sharma, Wu, Dalal 2005)
 */
export type Rgb = readonly [number, number, number];

/** Linear light, each from 0 to 1. */
export function linear(hex: string): Rgb {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return [r!, g!, b!];
}

/** `share` of one colour over another, as `color-mix(in srgb, …)` does it. */
export function mixed(over: string, share: number, under: string): string {
  const parts = [1, 3, 5].map((at) => {
    const [a, b] = [over, under].map((hex) => Number.parseInt(hex.slice(at, at + 2), 16));
    return Math.round(a! * share + b! * (1 - share)).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}

function luminance([r, g, b]: Rgb): number {
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(a: string, b: string): number {
  const [high, low] = [luminance(linear(a)), luminance(linear(b))].sort((x, y) => y - x);
  return (high! + 0.05) / (low! + 0.05);
}

const DEUTERANOPIA: readonly Rgb[] = [
  [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881],
];

export function withoutGreen(colour: Rgb): Rgb {
  const [r, g, b] = DEUTERANOPIA.map((row) => {
    const value = row[0] * colour[0] + row[1] * colour[1] + row[2] * colour[2];
    return Math.min(1, Math.max(0, value));
  });
  return [r!, g!, b!];
}

/** CIELAB. */
function lab([r, g, b]: Rgb): Rgb {
  const f = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 * t + 16) / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const radians = (degrees: number): number => degrees * Math.PI / 180;
const degrees = (b: number, a: number): number => (Math.atan2(b, a) * 180 / Math.PI + 360) % 360;

/** CIEDE2000: 1 is the least that a trained eye sees, side by side; 10 is seen at a glance. */
export function distance(one: Rgb, other: Rgb): number {
  const [l1, a1, b1] = lab(one);
  const [l2, a2, b2] = lab(other);
  const chroma7 = ((Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2) ** 7;
  const g = 0.5 * (1 - Math.sqrt(chroma7 / (chroma7 + 25 ** 7)));
  const [c1, c2] = [Math.hypot(a1 * (1 + g), b1), Math.hypot(a2 * (1 + g), b2)];
  const [h1, h2] = [degrees(b1, a1 * (1 + g)), degrees(b2, a2 * (1 + g))];
  const gap = Math.abs(h1 - h2) > 180 ? 360 : 0;
  const turn = c1 * c2 === 0 ? 0 : h2 - h1 - Math.sign(h2 - h1) * gap;
  const hue = c1 * c2 === 0 ? h1 + h2 : (h1 + h2 + (h1 + h2 < 360 ? gap : -gap)) / 2;
  const [lightness, chroma] = [(l1 + l2) / 2, (c1 + c2) / 2];
  const t = 1 - 0.17 * Math.cos(radians(hue - 30)) + 0.24 * Math.cos(radians(2 * hue)) +
    0.32 * Math.cos(radians(3 * hue + 6)) - 0.2 * Math.cos(radians(4 * hue - 63));
  const sl = 1 + 0.015 * (lightness - 50) ** 2 / Math.sqrt(20 + (lightness - 50) ** 2);
  const [sc, sh] = [1 + 0.045 * chroma, 1 + 0.015 * chroma * t];
  const rotation = -2 * Math.sqrt(chroma ** 7 / (chroma ** 7 + 25 ** 7)) *
    Math.sin(radians(60 * Math.exp(-(((hue - 275) / 25) ** 2))));
  const dl = (l2 - l1) / sl;
  const dc = (c2 - c1) / sc;
  const dh = 2 * Math.sqrt(c1 * c2) * Math.sin(radians(turn / 2)) / sh;
  return Math.sqrt(dl ** 2 + dc ** 2 + dh ** 2 + rotation * dc * dh);
}
