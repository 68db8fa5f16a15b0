/**
 * Walks through a message with no schema at all: what a reader sees of fields that it does not know.
 *
 *     npm run -s try 02/walk
 */
import { bool, f64, list, message, string, u32 } from "#codec";

const Report = message("Report", {
  job: [1, string()],
  attempt: [2, u32()],
  seconds: [3, f64()],
  ok: [4, bool()],
  sizes: [20, list(u32(), 10)],
});

const bytes = Report.encode({ job: "extract", attempt: 300, seconds: 1.5, ok: true, sizes: [1, 2, 1000] });
let pos = 0;

function varint(): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[pos++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
}

function line(from: number, meaning: string): void {
  console.log(`${String(from).padStart(3)}  ${bytes.toString("hex", from, pos).replaceAll(/..(?=.)/g, "$& ").padEnd(28)}${meaning}`);
}

console.log(`${bytes.length} bytes`);
while (pos < bytes.length) {
  const start = pos;
  const key = varint();
  if (key === 0) {
    line(start, "the end");
    continue;
  }
  const wire = key & 7;
  let shape: string;
  if (wire === 0) shape = `a number, ${varint()}`;
  else if (wire === 1) {
    shape = "eight bytes";
    pos += 8;
  } else {
    const length = varint();
    shape = `${length} bytes`;
    pos += length;
  }
  line(start, `field ${key >>> 3}: ${shape}`);
}
