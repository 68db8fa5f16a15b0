/**
 * Lesson 05: the bytes of a real log, where the power went, and what opening it keeps.
 */
import { openLog } from "#log";
import { SimWorld } from "#simhost";
import { box, drawPicture, line, text } from "./frame.ts";

const RECORDS = ["submitted", "started", "completed"];
const FOLDER = "/log";
const SEGMENT = `${FOLDER}/0000000000000001.seg`;
const HEADER = 32;
/** Bytes of the last record that had reached the disk: its word, its check, and a piece of it. */
const WRITTEN = 13;
const [LEFT, BYTE, TOP, ROW] = [12, 20, 34, 68];

interface Recovered {
  readonly whole: Buffer;
  /** What is left of it. */
  readonly cut: number;
  readonly kept: readonly string[];
  readonly tornBytes: number;
}

/** Writes a log, cuts its file as a power cut may, and opens it. */
async function recover(): Promise<Recovered> {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("machine");
  return await world.settle((async () => {
    const log = await openLog({ host, dir: FOLDER });
    for (const record of RECORDS) log.append(Buffer.from(record));
    await log.close();
    const file = await host.storage.open(SEGMENT);
    const whole = await file.read(0, file.size);
    const cut = whole.length - 8 - RECORDS.at(-1)!.length + WRITTEN;
    await file.truncate(cut);
    await file.close();
    const again = await openLog({ host, dir: FOLDER });
    const kept: string[] = [];
    await again.replay((_seq, body) => void kept.push(String(body)));
    await again.close();
    const left = await host.storage.open(SEGMENT);
    const tornBytes = cut - left.size;
    await left.close();
    return { whole, cut, kept, tornBytes };
  })());
}

export async function drawTorn(): Promise<string> {
  const { whole, cut, kept, tornBytes } = await recover();
  const parts = [text({ x: LEFT, y: 20 }, "word", { style: "head" }),
    text({ x: LEFT + 4 * BYTE, y: 20 }, "check", { style: "head" }),
    text({ x: LEFT + 8 * BYTE, y: 20 }, "body", { style: "head" })];
  let at = HEADER;
  RECORDS.forEach((record, row) => {
    const y = TOP + ROW * row;
    const bytes = whole.subarray(at, at + 8 + record.length);
    bytes.forEach((byte, index) => {
      const isLost = at + index >= cut;
      const style = isLost ? "lost" : index < 4 ? "one" : index < 8 ? "two" : "box";
      const x = LEFT + BYTE * index;
      parts.push(box(style, { x, y }, BYTE, 22));
      const shown = index < 8 ? byte.toString(16).padStart(2, "0") : String.fromCharCode(byte);
      if (!isLost) parts.push(text({ x: x + BYTE / 2, y: y + 15 }, shown, { anchor: "middle" }));
    });
    const isKept = kept[row] === record;
    const end = Math.min(cut, at + bytes.length);
    const fate = isKept ? `record ${row + 1}, bytes ${at} to ${end - 1}: kept`
      : `record ${row + 1}: ${tornBytes} torn bytes from ${at} on are cut off`;
    parts.push(text({ x: LEFT, y: y + 38 }, fate, { style: isKept ? "small" : "fb" }));
    if (!isKept) {
      const x = LEFT + BYTE * (cut - at);
      parts.push(line("b wide", [{ x, y: y - 8 }, { x, y: y + 24 }]));
      parts.push(text({ x, y: y - 12 }, "the power went here", { style: "fb", anchor: "middle" }));
    }
    at += bytes.length;
  });
  return drawPicture({
    title: "A torn tail, byte by byte",
    description: `Three records; the power went after byte ${cut - 1}, in the third. Opening ` +
      `keeps ${kept.join(" and ")}, and cuts the ${tornBytes} bytes behind them.`,
    height: TOP + ROW * RECORDS.length - 8, parts,
  });
}
