/** How long one encode and one decode take, in nanoseconds: the best of several rounds, on whatever machine this is. */
import { enumOf, list, message, optional, string, u32, u53, union } from "#codec";

const small = () => message("Small", { a: [1, u32()], b: [2, u32()], c: [3, u53()], d: [4, u32()], e: [5, u32()], f: [6, u32()] });
const Names = message("Names", { a: [1, string()], b: [2, string()], c: [3, optional(string())], d: [4, string()] });
// Twenty variants, used in turn: a benchmark with one variant would flatter the code.
const Event = union("Event", Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`V${i}`, [i + 1, small()] as const])));
const Batch = message("Batch", { items: [1, list(Names, 1000)], kind: [2, enumOf("a", "b")] });

function nanos(work: (i: number) => unknown): number {
  const rounds = 200_000;
  let best = Infinity;
  let sink: unknown;
  for (let round = 0; round < 7; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < rounds; i++) sink = work(i);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / rounds);
  }
  if (sink === undefined) throw new Error("nothing was measured");
  return Math.round(best);
}

function report<T>(name: string, values: readonly T[], type: { encode(value: T): Buffer; decode(bytes: Uint8Array): T }): void {
  const encoded = values.map((value) => type.encode(value));
  const n = values.length;
  const bytes = encoded.reduce((sum, each) => sum + each.length, 0) / n;
  const encode = nanos((i) => type.encode(values[i % n]!));
  const decode = nanos((i) => type.decode(encoded[i % n]!));
  console.log(`${name.padEnd(34)}${String(Math.round(bytes)).padStart(5)} bytes  encode ${encode} ns  decode ${decode} ns`);
  // What most people would use instead: JSON, to and from bytes.
  const json = values.map((value) => Buffer.from(JSON.stringify(value)));
  const jsonBytes = json.reduce((sum, each) => sum + each.length, 0) / n;
  const stringify = nanos((i) => Buffer.from(JSON.stringify(values[i % n])));
  const parse = nanos((i) => JSON.parse(json[i % n]!.toString()));
  console.log(`${"  as JSON".padEnd(34)}${String(Math.round(jsonBytes)).padStart(5)} bytes  encode ${stringify} ns  decode ${parse} ns`);
}

report("union variant, 6 small integers", Array.from({ length: 20 }, (_, i) => ({ type: `V${i}`, a: i, b: 2, c: 300 + i, d: 4, e: 70_000, f: 6 })), Event);
report("union variant, one with a time", Array.from({ length: 20 }, (_, i) => ({ type: `V${i}`, a: i, b: 2, c: 1.7e12 + i, d: 4, e: 70_000, f: 6 })), Event);
report("message, 4 short strings", [{ a: "nightly-x7f3", b: "extract", c: "worker-12", d: "scripts/extract.py" }, { a: "run-2", b: "train", c: undefined, d: "a.sh" }], Names);
const row = { a: "nightly-x7f3", b: "extract", c: "worker-12", d: "scripts/extract.py" };
report("list of 20 such messages", [{ kind: "a", items: Array.from({ length: 20 }, () => row) }], Batch as never);
