/** walkLog(): a log from its first record to its last, a piece at a time. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { nodeHost } from "#host";
import { openLog, walkLog, type LogPiece } from "#log";

const host = nodeHost();
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A log of `records` records in small segments. */
async function logOf(records: number, options: { snapshotAt?: number } = {}): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "titan-walk-test-"));
  folders.push(dir);
  const log = await openLog({ host, dir, segmentBytes: 1024 * 1024 });
  for (let n = 1; n <= records; n++) {
    log.append(bodyOf(n));
    if (n % 64 === 0) await log.durable();
    if (n === options.snapshotAt) await log.saveSnapshot(n, [Buffer.from("state")]);
  }
  await log.durable();
  await log.close();
  return dir;
}

const bodyOf = (n: number): Buffer => Buffer.from(`record ${n} `.padEnd(20_000, "x"));

async function walk(dir: string, onChunk?: (chunk: Buffer) => void) {
  const numbers: number[] = [];
  const others: LogPiece[] = [];
  let largest = 0;
  for await (const piece of walkLog({ host, dir, ...(onChunk && { onChunk }) })) {
    if (piece.type !== "records") {
      others.push(piece);
      continue;
    }
    largest = Math.max(largest, piece.bodies.length);
    piece.bodies.forEach((body, index) => {
      assert.ok(body.equals(bodyOf(piece.first + index)), `record ${piece.first + index}`);
      numbers.push(piece.first + index);
    });
  }
  return { numbers, others, largest };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

test("walkLog() hands out every record once, in order, over many files, " +
  "in small pieces", async () => {
  const dir = await logOf(200);
  assert.ok(readdirSync(dir).filter((name) => name.endsWith(".seg")).length > 2);
  const { numbers, others, largest } = await walk(dir);
  assert.deepEqual([numbers, others], [range(1, 200), []]);
  assert.ok(largest < 20, `${largest} records of 20 kB at once`);
});

test("walkLog() tells the snapshot first, and then the records that are still there", async () => {
  const chunks: string[] = [];
  const { numbers, others } = await walk(
    await logOf(200, { snapshotAt: 150 }),
    (chunk) => void chunks.push(String(chunk)),
  );
  assert.deepEqual([others, chunks], [[{ type: "snapshot", seq: 150 }], ["state"]]);
  assert.deepEqual(numbers, range(numbers[0]!, 200));
  assert.ok(numbers[0]! > 1 && numbers[0]! <= 151);
});

test("walkLog() says where the last file stops being whole, wherever it was cut", async () => {
  const dir = await logOf(2);
  const file = join(
    dir,
    readdirSync(dir)
      .filter((name) => name.endsWith(".seg"))
      .at(-1)!,
  );
  const whole = readFileSync(file);
  const second = whole.length - bodyOf(2).length - 8;
  for (const cut of [second + 1, second + 7, second + 8, whole.length - 1]) {
    truncateSync(file, cut);
    const { numbers, others } = await walk(dir);
    assert.deepEqual(
      [numbers, others],
      [[1], [{ type: "rest", file, offset: second, bytes: cut - second }]],
    );
    writeFileSync(file, whole);
  }
  appendFileSync(file, Buffer.alloc(100, 7));
  const { numbers, others } = await walk(dir);
  assert.deepEqual(
    [numbers, others],
    [[1, 2], [{ type: "rest", file, offset: whole.length, bytes: 100 }]],
  );
});

test("walkLog() refuses a damaged file in the middle, by name, after what is before", async () => {
  const dir = await logOf(200);
  const file = join(dir, readdirSync(dir).filter((name) => name.endsWith(".seg"))[1]!);
  const bytes = readFileSync(file);
  bytes[bytes.length - 5]! ^= 1;
  writeFileSync(file, bytes);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const piece of walkLog({ host, dir })) {
      if (piece.type === "records") seen.push(piece.first);
    }
  })();
  await assert.rejects(reading, {
    code: "DAMAGED",
    file,
    message: /^Cannot read log: .* is not whole/,
  });
  assert.equal(seen[0], 1);
});

test("walkLog() refuses a missing file and a missing manifest, by name", async () => {
  const dir = await logOf(200);
  rmSync(join(dir, readdirSync(dir).filter((name) => name.endsWith(".seg"))[1]!));
  await assert.rejects(walk(dir), { code: "GAP", message: /\.seg is missing$/ });
  rmSync(join(dir, "MANIFEST"));
  await assert.rejects(walk(dir), { code: "GAP", message: /MANIFEST is missing$/ });
});
