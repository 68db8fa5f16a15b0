/** The contract of chapter 01, written against "#framing" only. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { crc32 } from "node:zlib";
import {
  detectDialect,
  encodeFrame,
  type Frame,
  FrameDecoder,
  frameParts,
  FramingError,
  type FramingErrorCode,
  HEADER_BYTES,
  MAX_BODY_BYTES,
  VERSION,
} from "#framing";

/** Enough chance for tests, and the same on every machine (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function bytesFrom(random: (below: number) => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

function drain(decoder: FrameDecoder): Frame[] {
  const frames: Frame[] = [];
  for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
  return frames;
}

/**
 * The frames of `stream`, pushed in pieces of the given lengths (repeated as often as it takes).
 */
function decodeInPieces(
  stream: Buffer,
  lengths: readonly number[],
  decoder = new FrameDecoder(),
): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0, i = 0; at < stream.length; i++) {
    const length = lengths[i % lengths.length]!;
    decoder.push(stream.subarray(at, at + length));
    frames.push(...drain(decoder));
    at += length;
  }
  return frames;
}

/** The engine's own collector, without asking whoever runs the tests for a flag. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

function refuses(work: () => unknown, code: FramingErrorCode, saying?: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof FramingError, `a FramingError, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (saying) assert.match(error.message, saying);
    return true;
  });
}

/** A header by hand, its checksum right, so that only what a test changes is wrong. */
function rawFrame(parts: {
  version?: number;
  reserved?: number;
  length?: number;
  body?: Buffer;
}): Buffer {
  const body = parts.body ?? Buffer.alloc(0);
  const out = Buffer.alloc(HEADER_BYTES + body.length);
  out[0] = parts.version ?? VERSION;
  out[1] = 9;
  out[3] = parts.reserved ?? 0;
  out.writeUInt32BE(5, 4);
  out.writeUInt32BE(parts.length ?? body.length, 8);
  body.copy(out, HEADER_BYTES);
  out.writeUInt32BE(crc32(body, crc32(out.subarray(0, 12))), 12);
  return out;
}

const SAMPLES: Frame[] = [
  { opcode: 1, flags: 0, requestId: 0, body: Buffer.alloc(0) },
  { opcode: 255, flags: 255, requestId: 0xffff_ffff, body: Buffer.from([0]) },
  {
    opcode: 7,
    flags: 1,
    requestId: 0x8000_0000,
    body: Buffer.from("Grüße, or fifteen bytes and more of them"),
  },
  { opcode: 2, flags: 128, requestId: 42, body: Buffer.alloc(300, 2) },
];
const STREAM = Buffer.concat(SAMPLES.map(encodeFrame));

describe("framing: bad input", () => {
  it("next() yields nothing from any truncated prefix", () => {
    for (const sample of SAMPLES) {
      const whole = encodeFrame(sample);
      for (let length = 0; length < whole.length; length++) {
        const decoder = new FrameDecoder();
        decoder.push(whole.subarray(0, length));
        assert.equal(decoder.next(), undefined, `cut at ${length} of ${whole.length}`);
        decoder.push(whole.subarray(length));
        assert.deepEqual(decoder.next(), sample, `completed at ${length}`);
      }
    }
  });

  it("next() never yields a frame with a flipped bit", () => {
    for (const sample of SAMPLES) {
      const whole = encodeFrame(sample);
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const damaged = Buffer.from(whole);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        // A length that grew makes the decoder wait: give it what it may wait for, and it must
        // still refuse.
        const decoder = new FrameDecoder({ maxBodyBytes: 64 * 1024 });
        assert.throws(() => {
          decoder.push(damaged);
          drain(decoder).forEach((frame) =>
            assert.fail(`bit ${bit} went unnoticed: ${JSON.stringify(frame)}`),
          );
          decoder.push(Buffer.alloc(64 * 1024));
          drain(decoder).forEach((frame) =>
            assert.fail(`bit ${bit} went unnoticed: ` + `${JSON.stringify(frame)}`),
          );
        }, FramingError, `bit ${bit}`);
      }
    }
  });

  it("next() refuses a wrong version at the first byte", () => {
    for (const first of [0, 3, 71, 255]) {
      const decoder = new FrameDecoder();
      decoder.push(Buffer.from([first]));
      refuses(
        () => decoder.next(),
        "BAD_VERSION",
        new RegExp(`^Cannot read frame: version ${first}, expected 2$`),
      );
    }
  });

  it("next() refuses a reserved byte that is not zero", () => {
    const decoder = new FrameDecoder();
    decoder.push(rawFrame({ reserved: 4 }));
    refuses(() => decoder.next(), "RESERVED");
  });

  it("next() refuses an oversized length as soon as the header is there", () => {
    for (const length of [MAX_BODY_BYTES + 1, 0xffff_ffff]) {
      const decoder = new FrameDecoder();
      decoder.push(rawFrame({ length }).subarray(0, HEADER_BYTES - 1));
      assert.equal(decoder.next(), undefined);
      decoder.push(rawFrame({ length }).subarray(HEADER_BYTES - 1));
      refuses(
        () => decoder.next(),
        "TOO_LARGE",
        new RegExp(`^Cannot read frame: length ${length} exceeds ${MAX_BODY_BYTES}$`),
      );
    }
  });

  it("next() takes a body of exactly maxBodyBytes and refuses one byte more", () => {
    const decoder = new FrameDecoder({ maxBodyBytes: 10 });
    decoder.push(encodeFrame({ opcode: 1, body: Buffer.alloc(10) }));
    assert.equal(decoder.next()?.body.length, 10);
    decoder.push(encodeFrame({ opcode: 1, body: Buffer.alloc(11) }));
    refuses(() => decoder.next(), "TOO_LARGE");
  });

  it("next() refuses a bad checksum, body or not", () => {
    for (const body of [Buffer.alloc(0), Buffer.from("hello"), Buffer.alloc(5000, 1)]) {
      const frame = rawFrame({ body });
      frame[15]! ^= 1;
      for (const piece of [1, 7, frame.length]) {
        refuses(() => decodeInPieces(frame, [piece]), "BAD_CHECKSUM");
      }
    }
  });

  it("FrameDecoder stays dead: every later call throws the same error", () => {
    const decoder = new FrameDecoder();
    decoder.push(Buffer.from([9]));
    let first: unknown;
    try {
      decoder.next();
    } catch (error) {
      first = error;
    }
    assert.ok(first instanceof FramingError, String(first));
    for (const call of [() => decoder.next(), () => decoder.push(STREAM), () => decoder.next()]) {
      assert.throws(call, (error) => error === first);
    }
  });

  it("encodeFrame() refuses an oversized body", () => {
    const body = Buffer.alloc(MAX_BODY_BYTES + 1);
    refuses(
      () => encodeFrame({ opcode: 1, body }),
      "TOO_LARGE",
      /^Cannot write frame: length 8388609 exceeds 8388608$/,
    );
    refuses(() => frameParts({ opcode: 1, body }), "TOO_LARGE");
  });

  it("encodeFrame() refuses fields that do not fit", () => {
    for (const bad of [
      { opcode: 256 },
      { opcode: -1 },
      { opcode: 1.5 },
      { opcode: 1, flags: 256 },
      { opcode: 1, requestId: 2 ** 32 },
      { opcode: 1, requestId: NaN },
    ]) {
      assert.throws(() => encodeFrame(bad), /Invariant broken/, JSON.stringify(bad));
    }
  });

  it("encodeFrame() refuses a body that is not bytes, rather than send zeros of its length", () => {
    for (const body of ["hi", [1, 2], new Uint16Array([1, 256]), { length: 3 }] as unknown[]) {
      for (const write of [encodeFrame, frameParts]) {
        assert.throws(
          () => write({ opcode: 1, body: body as Uint8Array }),
          /Invariant broken: a body/,
          String(body),
        );
      }
    }
  });
});

describe("framing: good input", () => {
  it("encodeFrame() writes the documented bytes", () => {
    const frame = encodeFrame({
      opcode: 0x11,
      flags: 0x22,
      requestId: 0x01020304,
      body: Buffer.from([0xaa]),
    });
    assert.equal(frame.subarray(0, 12).toString("hex"), "021122000102030400000001");
    assert.equal(frame.readUInt32BE(12), crc32(Buffer.from("021122000102030400000001aa", "hex")));
    assert.equal(frame[16], 0xaa);
  });

  it("frameParts() is encodeFrame() in two pieces, the body not copied", () => {
    for (const sample of SAMPLES) {
      const [header, body] = frameParts(sample);
      assert.deepEqual(Buffer.concat([header, body]), encodeFrame(sample));
      assert.equal(body, sample.body);
    }
  });

  it("encodeFrame() fills in what is left out", () => {
    const [frame] = decodeInPieces(encodeFrame({ opcode: 3 }), [99]);
    assert.deepEqual(frame, { opcode: 3, flags: 0, requestId: 0, body: Buffer.alloc(0) });
  });

  it("next() yields the same frames from pieces of every fixed size", () => {
    for (let size = 1; size <= STREAM.length; size++) {
      assert.deepEqual(decodeInPieces(STREAM, [size]), SAMPLES, `pieces of ${size}`);
    }
  });

  it("next() yields the same frames from one glued chunk, and from chunks pushed before the " +
    "first next()", () => {
    assert.deepEqual(decodeInPieces(STREAM, [STREAM.length]), SAMPLES);
    const decoder = new FrameDecoder();
    for (const byte of STREAM) {
      decoder.push(Buffer.from([byte]));
      decoder.push(Buffer.alloc(0));
    }
    assert.deepEqual(drain(decoder), SAMPLES);
  });

  it("next() yields what was encoded, for random frames in random pieces", () => {
    const seed = Number(process.env["SEED"] ?? 20240501);
    const random = randomFrom(seed);
    for (let round = 0; round < 60; round++) {
      const frames = Array.from({ length: 1 + random(12) }, (): Frame => ({
        opcode: random(256),
        flags: random(256),
        requestId: random(2 ** 32),
        body: bytesFrom(random, random(4) === 0 ? random(30_000) : random(100)),
      }));
      const stream = Buffer.concat(frames.map(encodeFrame));
      const pieces = Array.from({ length: 20 }, () =>
        random(3) === 0 ? 1 + random(20_000) : 1 + random(40),
      );
      assert.deepEqual(
        decodeInPieces(stream, pieces),
        frames.map((frame) =>
          frame.body.length < 4096 ? frame : { ...frame, bodyCrc: crc32(frame.body) }),
        `SEED=${seed} round ${round} pieces ${pieces}`,
      );
    }
  });

  it("push() keeps the order of chunks, whenever next() is called in between", () => {
    const seed = Number(process.env["SEED"] ?? 20240504);
    const random = randomFrom(seed);
    for (let round = 0; round < 200; round++) {
      const frames = Array.from({ length: 40 }, (_, i): Frame => ({
        opcode: 1,
        flags: 0,
        requestId: i,
        body: bytesFrom(random, random(30)),
      }));
      const stream = Buffer.concat(frames.map(encodeFrame));
      const decoder = new FrameDecoder();
      const got: Frame[] = [];
      for (let at = 0; at < stream.length; ) {
        // Often a whole frame, so that chunks end where frames end.
        const length = random(2) ? HEADER_BYTES + random(30) : 16;
        decoder.push(stream.subarray(at, at + length));
        at += length;
        for (let calls = random(3); calls > 0; calls--) {
          got.push(...[decoder.next()].filter((frame) => frame !== undefined));
        }
      }
      got.push(...drain(decoder));
      assert.deepEqual(got, frames, `SEED=${seed} round ${round}`);
    }
    const [a, b, c] = [1, 2, 3].map((opcode) => encodeFrame({ opcode })) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    const decoder = new FrameDecoder();
    decoder.push(a);
    decoder.push(b);
    assert.equal(decoder.next()?.opcode, 1);
    decoder.push(c);
    assert.deepEqual(drain(decoder).map((frame) => frame.opcode), [2, 3]);
  });

  it("next() slices a body that lies within one chunk, header or not", () => {
    const body = Buffer.from("wholly inside");
    const frame = encodeFrame({ opcode: 1, body });
    const decoder = new FrameDecoder();
    decoder.push(frame);
    assert.equal(decoder.next()?.body.buffer, frame.buffer, "header and body in one chunk");
    const second = Buffer.from(frame.subarray(10));
    decoder.push(frame.subarray(0, 10));
    assert.equal(decoder.next(), undefined);
    decoder.push(second);
    const got = decoder.next()!.body;
    assert.deepEqual(got, body);
    assert.equal(got.buffer, second.buffer, "header across two chunks, body in the second");
  });

  it("detectDialect() tells the two dialects apart, and strangers from both", () => {
    assert.equal(detectDialect(1), "v1");
    assert.equal(detectDialect(2), "v2");
    for (let byte = 0; byte < 256; byte++) {
      if (byte !== 1 && byte !== 2) assert.equal(detectDialect(byte), undefined);
    }
  });

  it("next() says of a frame of the older dialect what it is", () => {
    const decoder = new FrameDecoder();
    decoder.push(Buffer.of(1));
    assert.throws(() => decoder.next(), {
      code: "BAD_VERSION", message: "Cannot read frame: version 1, an older dialect, expected 2",
    });
  });
});

describe("framing: bounds", () => {
  it("FrameDecoder commits no memory for a header that only promises", () => {
    const header = rawFrame({ length: MAX_BODY_BYTES });
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 200 }, () => {
      const decoder = new FrameDecoder();
      decoder.push(Buffer.concat([header.subarray(0, HEADER_BYTES), Buffer.from("x")]));
      assert.equal(decoder.next(), undefined);
      return decoder;
    });
    const spent = process.memoryUsage().arrayBuffers - before;
    assert.ok(spent < 16 * 1024 * 1024, `200 promises of 8 MiB cost ${spent} bytes`);
    assert.equal(decoders.length, 200);
  });

  it("FrameDecoder keeps no chunk alive for the few bytes of an unfinished frame", () => {
    const frame = encodeFrame({ opcode: 1, body: Buffer.from("tail") });
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 500 }, () => {
      const chunk = Buffer.alloc(64 * 1024 + 18); // frames of nothing, and the start of one more
      const empty = encodeFrame({ opcode: 1 });
      for (let at = 0; at < 64 * 1024; at += HEADER_BYTES) empty.copy(chunk, at);
      frame.copy(chunk, 64 * 1024, 0, 18);
      const decoder = new FrameDecoder();
      decoder.push(chunk);
      assert.equal(drain(decoder).length, 4096);
      return decoder;
    });
    collectGarbage();
    const kept = process.memoryUsage().arrayBuffers - before;
    assert.ok(kept < 8 * 1024 * 1024, `500 decoders keep ${kept} bytes`);
    for (const decoder of decoders) {
      decoder.push(frame.subarray(18));
      assert.equal(decoder.next()?.body.toString(), "tail");
    }
  });

  it("FrameDecoder keeps no chunk once it is dead", async () => {
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 200 }, () => {
      const decoder = new FrameDecoder();
      decoder.push(Buffer.alloc(64 * 1024, 9));
      assert.throws(() => decoder.next(), FramingError);
      return decoder;
    });
    let kept = Infinity;
    // Memory outside the heap is given back some time after the collection that found it.
    for (let look = 0; look < 50 && kept >= 2 * 1024 * 1024; look++) {
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
      kept = process.memoryUsage().arrayBuffers - before;
    }
    assert.ok(kept < 2 * 1024 * 1024, `${decoders.length} dead decoders keep ${kept} bytes`);
  });

  it("next() takes an 8 MiB body in tiny pieces in time that grows with its bytes", () => {
    const body = Buffer.alloc(MAX_BODY_BYTES, 3);
    body[MAX_BODY_BYTES - 1] = 4;
    const frame = encodeFrame({ opcode: 1, body });
    // some 400,000 pieces: squared, that would take minutes
    const [got] = decodeInPieces(frame, [1, 2, 61]);
    assert.ok(got!.body.equals(body));
  });
});
