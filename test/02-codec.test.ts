/** The contract of chapter 02, written against "#codec" only. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  bool,
  bytes,
  CodecError,
  type CodecErrorCode,
  eachItem,
  enumOf,
  f64,
  i53,
  type Infer,
  list,
  map,
  message,
  optional,
  type Required,
  string,
  u32,
  u53,
  union,
  withDefault,
} from "#codec";

/** Enough chance for tests, and the same on every machine (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const Inner = message("Inner", { at: [1, u53()], note: [2, optional(string(10))] });
const Hello = message("Hello", {
  role: [1, enumOf("client", "worker")],
  name: [2, string()],
  token: [3, optional(string(256))],
  tags: [4, list(string(), 64)],
  slots: [5, withDefault(u53(), 1)],
  env: [6, map(string(), 1000)],
  inner: [7, Inner],
});
type Hello = Infer<typeof Hello>;

const hello: Hello = {
  role: "worker",
  name: "w-1",
  token: undefined,
  tags: ["GPU", "größe"],
  slots: 4,
  env: { A: "1", B: "" },
  inner: { at: 1_700_000_000_000, note: "hi" },
};

const Started = message("JobStarted", { run: [1, u32()], worker: [2, string()] });
const Submitted = message("RunSubmitted", { id: [1, string()], priority: [2, i53()] });
const Event = union("Event", { RunSubmitted: [1, Submitted], JobStarted: [2, Started] });
type Event = Infer<typeof Event>;

function refuses(work: () => unknown, code: CodecErrorCode, saying?: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof CodecError, `a CodecError, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (saying) assert.match(error.message, saying);
    return true;
  });
}


/** `value` as the only field of a message: what `type` writes, and what it takes back. */
function roundTrip<T>(type: Required<T>, value: T): T {
  const One = message("One", { v: [1, type] });
  return (One.decode(One.encode({ v: value })) as { v: T }).v;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("codec: bad bytes", () => {
  const One = message("One", { n: [1, u53()] });

  it("decode() refuses every truncation", () => {
    for (const [type, whole] of samples()) {
      for (let length = 0; length < whole.length; length++) {
        assert.throws(
          () => type.decode(whole.subarray(0, length)),
          CodecError,
          `${type.name} cut at ${length}`,
        );
      }
    }
  });

  it("decode() answers every flipped bit with a value or a CodecError", () => {
    for (const [type, whole] of samples()) {
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const damaged = Buffer.from(whole);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        try {
          const value = type.decode(damaged);
          type.encode(value as never); // whatever was accepted is within its limits
        } catch (error) {
          assert.ok(error instanceof CodecError, `${type.name} bit ${bit}: ${String(error)}`);
        }
      }
    }
  });

  it("decode() answers random bytes with a value or a CodecError", () => {
    const seed = Number(process.env["SEED"] ?? 20240502);
    const random = randomFrom(seed);
    for (let round = 0; round < 20_000; round++) {
      const noise = Buffer.from(
        Array.from({ length: random(30) }, () => (random(2) ? random(256) : random(60))),
      );
      for (const type of [Hello, Event]) {
        try {
          type.decode(noise);
        } catch (error) {
          assert.ok(
            error instanceof CodecError,
            `SEED=${seed} ${noise.toString("hex")}: ${String(error)}`,
          );
        }
      }
    }
  });

  it("decode() refuses trailing bytes", () => {
    for (const [type, whole] of samples()) {
      for (const extra of ["00", "01", "0801", "f801"]) {
        refuses(
          () => type.decode(Buffer.concat([whole, hex(extra)])),
          "TRAILING",
          new RegExp(`decode ${type.name}`),
        );
      }
    }
  });

  it("decode() refuses a nested message that is shorter than its length", () => {
    const Outer = message("Outer", { inner: [1, One] });
    assert.deepEqual(Outer.decode(hex("0a 03 0805 00 00")), { inner: { n: 5 } });
    refuses(() => Outer.decode(hex("0a 04 0805 00 00 00")), "TRAILING");
    refuses(() => Outer.decode(hex("0a 02 0805 00 00")), "TRUNCATED");
  });

  it("decode() refuses numbers that are padded, too long or too large", () => {
    assert.deepEqual(One.decode(hex("08 ffffffffffffff0f 00")), { n: Number.MAX_SAFE_INTEGER });
    refuses(() => One.decode(hex("08 8500 00")), "BAD_VARINT", /padded/);
    refuses(() => One.decode(hex("08 ffffffffffffff1f 00")), "BAD_VARINT", /exceeds 2\^53-1/);
    refuses(() => One.decode(hex("08 ffffffffffffffff01 00")), "BAD_VARINT", /longer than 8/);
    const Small = message("Small", { n: [1, u32()] });
    assert.deepEqual(Small.decode(hex("08 ffffffff0f 00")), { n: 2 ** 32 - 1 });
    refuses(
      () => Small.decode(hex("08 8080808010 00")),
      "BAD_VALUE",
      /decode Small\.n: 4294967296 is not a u32/,
    );
    const Signed = message("Signed", { n: [1, i53()] });
    for (const bad of ["01", "8000", "8100", "ffffffffffffff7f", "feffffffffffff20"]) {
      refuses(() => Signed.decode(hex(`08${bad}00`)), "BAD_VARINT");
    }
  });

  it("decode() refuses a field that comes twice, or after a higher one", () => {
    const Two = message("Two", { a: [1, u32()], b: [2, optional(u32())] });
    refuses(() => Two.decode(hex("0801 0802 00")), "FIELD_ORDER");
    refuses(() => Two.decode(hex("0801 1002 1003 00")), "FIELD_ORDER");
    refuses(() => Two.decode(hex("1001 0802 00")), "MISSING_FIELD");
    refuses(() => Two.decode(hex("0801 1802 1003 00")), "FIELD_ORDER");
  });

  it("decode() refuses keys that cannot be", () => {
    refuses(() => One.decode(hex("01 00")), "FIELD_ORDER");
    // 2^32 + 8
    refuses(() => One.decode(hex("0805 8880808010 01 00")), "BAD_VALUE", /key 4294967304/);
    for (const wire of [3, 4, 5, 6, 7]) {
      refuses(
        () => One.decode(Buffer.from([0x08, 5, 0x10 | wire, 0, 0])),
        "BAD_WIRE_TYPE",
        /does not exist/,
      );
    }
    refuses(
      () => One.decode(hex("0a 01 05 00")),
      "BAD_WIRE_TYPE",
      /One\.n: wire type 2, declared as 0/,
    );
  });

  it("decode() names the message and the field that is missing", () => {
    refuses(() => One.decode(hex("00")), "MISSING_FIELD", /^Cannot decode One\.n: /);
    refuses(() => One.encode({} as never), "MISSING_FIELD", /^Cannot encode One\.n: /);
  });

  it("decode() refuses values outside their type", () => {
    const decodeAs = (type: Required<any>, bytes: string) =>
      message("M", { v: [1, type] }).decode(hex(bytes));
    refuses(() => decodeAs(bool(), "08 02 00"), "BAD_VALUE");
    refuses(() => decodeAs(enumOf("a", "b"), "08 02 00"), "BAD_VALUE", /index 2 is none of a, b/);
    refuses(() => decodeAs(f64(), "09 7ff8000000000000 00"), "BAD_VALUE");
    refuses(() => decodeAs(string(3), "0a 04 61616161 00"), "TOO_LARGE");
    refuses(() => decodeAs(bytes(3), "0a 04 61616161 00"), "TOO_LARGE");
  });

  it("string() refuses what is not UTF-8, short or long", () => {
    const One = message("One", { s: [1, string()] });
    // a lone continuation, an overlong slash, half a surrogate pair, beyond U+10FFFF, a cut
    // character
    for (const bad of ["80", "c0af", "eda080", "f4908080", "e282"]) {
      for (const padding of [0, 60]) {
        const text = Buffer.concat([Buffer.alloc(padding, 97), hex(bad)]);
        const whole = Buffer.concat([Buffer.from([0x0a, text.length]), text, Buffer.from([0])]);
        refuses(() => One.decode(whole), "BAD_UTF8");
      }
    }
  });

  it("decode() allocates nothing for a length that lies", () => {
    const Big = message("Big", { b: [1, bytes()], l: [2, list(u32(), 1_000_000)] });
    refuses(
      () => Big.decode(hex("0a ffffff03 00")),
      "TRUNCATED",
      /length 8388607 exceeds the 1 bytes left/,
    );
    refuses(() => Big.decode(hex("0a 00 12 ffffff03 00")), "TRUNCATED");
  });

  it("union.decode() refuses a variant that it does not know", () => {
    refuses(
      () => Event.decode(hex("03 0801 00")),
      "UNKNOWN_VARIANT",
      /^Cannot decode Event: it has no variant 3$/,
    );
    refuses(() => Event.encode({ type: "Nonsense" } as never), "UNKNOWN_VARIANT");
    refuses(() => Event.encode(undefined as never), "UNKNOWN_VARIANT");
    refuses(() => Event.decode(Buffer.alloc(0)), "TRUNCATED");
  });
});

describe("codec: bad values", () => {
  const encodeAs = (type: Required<any>, value: unknown) =>
    message("M", { v: [1, type] }).encode({ v: value });

  it("encode() refuses what is outside a type, and names the field", () => {
    const bad: [Required<any>, unknown[]][] = [
      [u32(), [-1, 1.5, NaN, Infinity, 2 ** 32, "1", null, 1n, {}]],
      [u53(), [-1, 0.5, NaN, 2 ** 53]],
      [i53(), [0.5, NaN, 2 ** 53, -(2 ** 53)]],
      [f64(), [NaN, "1", null]],
      [bool(), [0, "true", null]],
      [string(), [7, null, Symbol("s"), ["a"], Object.create(null)]],
      [bytes(), ["text", [1, 2], null]],
      [enumOf("a", "b"), ["c", "", 0, null, "toString"]],
      [Inner, [null, 7, {}]],
    ];
    for (const [type, values] of bad) {
      for (const value of values) {
        assert.throws(() => encodeAs(type, value), (error: unknown) => {
          assert.ok(error instanceof CodecError, String(error));
          assert.match(error.message, /^Cannot encode (M\.v|Inner\.at): /);
          return true;
        });
      }
    }
  });

  it("encode() refuses what exceeds a limit", () => {
    refuses(() => encodeAs(string(3), "four"), "TOO_LARGE");
    refuses(() => encodeAs(string(3), "éé"), "TOO_LARGE");
    refuses(() => encodeAs(string(), "x".repeat(65_537)), "TOO_LARGE");
    refuses(() => encodeAs(bytes(3), Buffer.alloc(4)), "TOO_LARGE");
    refuses(
      () => Hello.encode({ ...hello, tags: Array.from({ length: 65 }, () => "t") }),
      "TOO_LARGE",
      /Hello\.tags/,
    );
    const Env = message("Env", { env: [1, map(string(), 2)] });
    refuses(() => Env.encode({ env: { a: "", b: "", c: "" } }), "TOO_LARGE");
  });

  it("decode() holds lists and maps to their limits too", () => {
    const Many = message("M", { l: [1, list(u32(), 9)], m: [2, map(string(), 9)] });
    const Few = message("M", { l: [1, list(u32(), 2)], m: [2, map(string(), 2)] });
    refuses(
      () => Few.decode(Many.encode({ l: [1, 2, 3], m: {} })),
      "TOO_LARGE",
      /M\.l: more than 2/,
    );
    refuses(
      () => Few.decode(Many.encode({ l: [1, 2], m: { a: "", b: "", c: "" } })),
      "TOO_LARGE",
      /M\.m: more than 2/,
    );
    assert.deepEqual(Few.decode(Many.encode({ l: [1, 2], m: { a: "", b: "" } })), {
      l: [1, 2],
      m: { a: "", b: "" },
    });
  });

  it("string() refuses half of a surrogate pair", () => {
    for (const bad of ["\ud800", "a\udc00b", `${"x".repeat(60)}\udbff`]) {
      refuses(() => encodeAs(string(), bad), "BAD_UTF8");
    }
    assert.equal(roundTrip(string(), "😀".repeat(30)), "😀".repeat(30));
  });

  it("encode() refuses a list or a map of the wrong kind, empty or not", () => {
    const Both = message("Both", { l: [1, list(u32(), 9)], m: [2, map(u32(), 9)] });
    for (const l of [{}, new Map([["a", 1]]), new Date(), "", new Uint8Array(0)]) {
      refuses(() => Both.encode({ l: l as never, m: {} }), "BAD_VALUE", /Both\.l/);
    }
    for (const m of [[], [1], new Map([["a", 1]]), new Date(), null]) {
      refuses(() => Both.encode({ l: [], m: m as never }), "BAD_VALUE", /Both\.m/);
    }
    for (const like of [Object.create(null), Object.create({}), {}] as Record<string, number>[]) {
      assert.deepEqual(Both.decode(Both.encode({ l: [], m: Object.assign(like, { a: 1 }) })).m, {
        a: 1,
      });
    }
    const Env = message("Env", { env: [1, map(string(128 * 1024), 10_000)] });
    assert.deepEqual(Env.decode(Env.encode({ env: process.env as Record<string, string> })).env, {
      ...process.env,
    });
  });

  it("encode() names a bad value without building it or running it", () => {
    // escaped, it exceeds the longest string
    refuses(() => encodeAs(u32(), "\0".repeat(90_000_000)), "BAD_VALUE", /…/);
    refuses(
      () =>
        encodeAs(
          u32(),
          Object.assign(() => 1, { toString: () => assert.fail("ran") }),
        ),
      "BAD_VALUE",
      /a function/,
    );
  });

  it("encode() works again after it threw", () => {
    const before = Hello.encode(hello);
    assert.throws(() => Hello.encode({ ...hello, inner: { at: -1 } }), CodecError);
    assert.deepEqual(Hello.encode(hello), before);
  });

  it("encode() can be called from a getter of the value being encoded", () => {
    const value = {
      ...hello,
      get name() {
        return Hello.encode(hello).toString("hex").slice(0, 50);
      },
    };
    assert.equal(
      Hello.decode(Hello.encode(value)).name,
      Hello.encode(hello).toString("hex").slice(0, 50),
    );
  });

  it("message() and union() refuse declarations that cannot work", () => {
    for (const declare of [
      () => message("M", { a: [1, u32()], b: [1, u32()] }),
      () => message("M", { a: [0, u32()] }),
      () => message("M", { a: [65_536, u32()] }),
      () => message("M", { ["__proto__"]: [1, u32()] }),
      () => message("M", { constructor: [1, optional(u32())] }),
      () => list(u32(), undefined as never),
      () => map(u32(), NaN),
      () => string(-1),
      () => bytes(1.5),
      () => message("M", { a: [1, withDefault(u32(), -1)] }),
      () => enumOf("a", "a"),
      () => union("U", { A: [1, Started], B: [1, Started] }),
      () => union("U", { A: [1, message("A", { type: [1, u32()] })] }),
      () => {
        let type = message("M", { a: [1, u32()] });
        for (let i = 0; i < 32; i++) type = message("M", { m: [1, type] }) as never;
      },
    ]) {
      assert.throws(declare, Error, declare.toString());
    }
  });
});

describe("codec: good values", () => {
  it("decode(encode(value)) is the value", () => {
    assert.deepEqual(Hello.decode(Hello.encode(hello)), hello);
    const events: Event[] = [
      { type: "JobStarted", run: 1, worker: "w" },
      { type: "RunSubmitted", id: "r", priority: -3 },
    ];
    for (const event of events) assert.deepEqual(Event.decode(Event.encode(event)), event);
    for (const n of [0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1]) {
      assert.equal(roundTrip(u32(), n), n);
    }
    for (const n of [2 ** 32, 2 ** 35, 2 ** 42, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1]) {
      assert.equal(roundTrip(u53(), n), n);
    }
    for (const n of [0, 1, 63, 64, 8191, 8192, 2 ** 31, 2 ** 52, 2 ** 53 - 1]) {
      assert.equal(roundTrip(i53(), n), n);
      assert.equal(roundTrip(i53(), 0 - n), 0 - n);
    }
    for (const n of [0, -0, 0.1, -1e300, 5e-324, Infinity, -Infinity]) {
      assert.ok(Object.is(roundTrip(f64(), n), n));
    }
    for (const length of [0, 1, 11, 12, 13, 40, 41, 127, 128, 16_383, 16_384, 65_536]) {
      assert.equal(roundTrip(string(), "x".repeat(length)), "x".repeat(length));
    }
    for (const text of ["é", "\ufeffx", "a\0b", "日本語", "x".repeat(39) + "é", "é".repeat(1000)]) {
      assert.equal(roundTrip(string(), text), text);
    }
    assert.equal(roundTrip(enumOf("a", "b", "c"), "c"), "c");
    assert.equal(roundTrip(bool(), true), true);
  });

  it("decode(encode(value)) is the value, for random ones", () => {
    const seed = Number(process.env["SEED"] ?? 20240503);
    const random = randomFrom(seed);
    const alphabet = [..."aZ9-é日😀"];
    const text = (max: number) =>
      Array.from({ length: random(max) }, () => alphabet[random(7)]).join("");
    const number = () => Math.floor(random(2 ** 32) * 2 ** (random(54) - 32));
    for (let round = 0; round < 3000; round++) {
      const value: Hello = {
        role: random(2) ? "client" : "worker",
        name: text(60),
        token: random(2) ? undefined : text(20),
        tags: Array.from({ length: random(5) }, () => text(10)),
        slots: number(),
        env: Object.fromEntries(
          Array.from({ length: random(4) }, (_, i) => [text(8) + i, text(30)]),
        ),
        inner: { at: number(), note: undefined },
      };
      assert.deepEqual(Hello.decode(Hello.encode(value)), value, `SEED=${seed} round ${round}`);
    }
  });

  it("encode() writes the documented bytes", () => {
    assert.equal(
      message("P", { y: [2, u32()], x: [1, u32()] })
        .encode({ x: 300, y: 4 })
        .toString("hex"),
      "08ac02100400",
    );
    assert.equal(
      message("S", { s: [1, string()] })
        .encode({ s: "hi" })
        .toString("hex"),
      "0a02686900",
    );
    assert.equal(
      message("F", { f: [1, f64()] })
        .encode({ f: 1 })
        .toString("hex"),
      "093ff000000000000000",
    );
    assert.equal(
      message("L", { l: [1, list(u32(), 9)] })
        .encode({ l: [1, 300] })
        .toString("hex"),
      "0a0301ac0200",
    );
    assert.equal(message("L", { l: [1, list(u32(), 9)] }).encode({ l: [] }).toString("hex"), "00");
    assert.equal(
      message("M", { m: [1, map(u32(), 9)] })
        .encode({ m: { a: 5 } })
        .toString("hex"),
      "0a0301610500",
    );
    assert.equal(message("I", { i: [1, i53()] }).encode({ i: -2 }).toString("hex"), "080500");
    assert.equal(
      Event.encode({ type: "JobStarted", run: 1, worker: "w" }).toString("hex"),
      "0208011201" + "7700",
    );
  });

  it("decode() fills in what is absent", () => {
    const got = Hello.decode(
      Hello.encode({ role: "client", name: "c", inner: { at: 0 } } as never),
    );
    const filled = {
      role: "client",
      name: "c",
      token: undefined,
      tags: [],
      slots: 1,
      env: {},
      inner: { at: 0, note: undefined },
    };
    assert.deepEqual(got, filled);
  });

  it("optional(list()) tells an empty list from none", () => {
    const M = message("M", { l: [1, optional(list(u32(), 5))] });
    assert.deepEqual(M.decode(M.encode({ l: [] })), { l: [] });
    assert.deepEqual(M.decode(M.encode({})), { l: undefined });
  });

  it("withDefault() sends a value even if it equals the default", () => {
    const One = message("M", { n: [1, withDefault(u32(), 7)] });
    const Later = message("M", { n: [1, withDefault(u32(), 99)] });
    assert.deepEqual(Later.decode(One.encode({ n: 7 })), { n: 7 });
  });

  it("bytes() gives a view of the message, and takes any Uint8Array", () => {
    const M = message("M", { b: [1, bytes()] });
    const encoded = M.encode({ b: new Uint8Array([1, 2, 3]) as Buffer });
    const { b } = M.decode(encoded);
    assert.ok(Buffer.isBuffer(b));
    assert.deepEqual([...b], [1, 2, 3]);
    assert.equal(b.buffer, encoded.buffer);
    const big = Buffer.alloc(3_000_000, 7);
    assert.ok(M.decode(M.encode({ b: big })).b.equals(big));
    assert.ok(M.decode(M.encode({ b: big })).b.equals(big));
  });

  it("decode() takes a plain Uint8Array, offset and all", () => {
    const encoded = Hello.encode(hello);
    const padded = new Uint8Array(encoded.length + 10);
    padded.set(encoded, 5);
    assert.deepEqual(Hello.decode(padded.subarray(5, 5 + encoded.length)), hello);
  });

  it("map() keeps order, and takes __proto__ for a key like any other", () => {
    const M = message("M", { m: [1, map(string(), 9)] });
    const evil = JSON.parse('{"z":"1","__proto__":"polluted","constructor":"2","a":"3"}') as Record<
      string,
      string
    >;
    const got = M.decode(M.encode({ m: evil })).m;
    assert.deepEqual(Object.entries(got), Object.entries(evil));
    assert.equal(Object.getPrototypeOf(got), Object.prototype);
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
    refuses(
      () => M.decode(hex("0a 08 0161 0131 0161 0132 00")),
      "FIELD_ORDER",
      /key "a" is there twice/,
    );
    const twice = "095f5f70726f746f5f5f 0131".replace(" ", "");
    refuses(() => M.decode(hex(`0a 18 ${twice}${twice} 00`)), "FIELD_ORDER");
  });

  it("list() of messages longer than 127 bytes keeps its lengths right", () => {
    const M = message("M", { rows: [1, list(Started, 1000)] });
    const rows = Array.from({ length: 300 }, (_, i) => ({ run: i, worker: "w".repeat(i) }));
    assert.deepEqual(M.decode(M.encode({ rows })), { rows });
  });

  it("union is a type too: a field, and an item of a list", () => {
    const Batch = message("Batch", { first: [1, Event], rest: [2, list(Event, 100)] });
    const event: Event = { type: "JobStarted", run: 1, worker: "w" };
    const other: Event = { type: "RunSubmitted", id: "r", priority: -1 };
    const value = { first: other, rest: [event, other, event] };
    assert.deepEqual(Batch.decode(Batch.encode(value)), value);
  });
});

describe("codec: old and new peers", () => {
  const Old = message("Peer", {
    name: [2, string()],
    slots: [5, withDefault(u32(), 1)],
    zone: [9, optional(string())],
  });
  const New = message("Peer", {
    before: [1, u53()],
    name: [2, string()],
    ratio: [3, f64()],
    nested: [4, Inner],
    slots: [5, withDefault(u32(), 1)],
    tags: [6, list(string(), 9)],
    big: [300, bytes()],
    last: [301, i53()],
  });

  it("an old reader skips what a new writer added, before, between and after, of " +
    "every wire type", () => {
    const sent = {
      before: 2 ** 40,
      name: "n",
      ratio: 0.5,
      nested: { at: 1 },
      slots: 3,
      tags: ["a"],
      big: Buffer.alloc(500),
      last: -1,
    };
    assert.deepEqual(Old.decode(New.encode(sent)), { name: "n", slots: 3, zone: undefined });
  });

  it("a new reader fills in what an old writer never had, if it may be absent", () => {
    const Newer = message("Peer", {
      name: [2, string()],
      slots: [5, withDefault(u32(), 1)],
      tags: [6, list(string(), 9)],
      note: [7, optional(string())],
    });
    assert.deepEqual(Newer.decode(Old.encode({ name: "n", slots: 4 })), {
      name: "n",
      slots: 4,
      tags: [],
      note: undefined,
    });
    refuses(() => New.decode(Old.encode({ name: "n", slots: 4 })), "MISSING_FIELD", /Peer\.before/);
  });

  it("a renamed field is the same field", () => {
    const Renamed = message("Peer", { title: [2, string()] });
    assert.deepEqual(Renamed.decode(Old.encode({ name: "n", slots: 4 })), { title: "n" });
  });

  it("an enum may grow at its end", () => {
    const Two = message("E", { e: [1, enumOf("a", "b")] });
    const Three = message("E", { e: [1, enumOf("a", "b", "c")] });
    assert.deepEqual(Three.decode(Two.encode({ e: "b" })), { e: "b" });
    refuses(() => Two.decode(Three.encode({ e: "c" })), "BAD_VALUE");
  });
});

describe("codec: the scratch that grows while a message is written", () => {
  /** As the writer has it: its first buffer, and the size beyond which one is not kept. */
  const SCRATCH_BYTES = 16 * 1024;
  const KEEP_BYTES = 1024 * 1024;

  const Huge = message("Huge", { bytes: [1, bytes()] });
  const huge = { bytes: Buffer.alloc(KEEP_BYTES) };
  const shapes: Readonly<Record<string, [type: Required<unknown>, value: unknown]>> = {
    "a signed number of two bytes": [i53() as Required<unknown>, -64],
    "a signed number of eight bytes": [i53() as Required<unknown>, -(2 ** 52)],
    "a small number": [u53() as Required<unknown>, 1],
    "a number of eight bytes": [u53() as Required<unknown>, 2 ** 53 - 1],
    "a double": [f64() as Required<unknown>, -0.1],
    "bytes": [bytes() as Required<unknown>, Buffer.from("123456789")],
    "no bytes": [bytes() as Required<unknown>, Buffer.alloc(0)],
    "a short string": [string() as Required<unknown>, "short"],
    "a short string that is no ASCII": [string() as Required<unknown>, "größe"],
    "a long string": [string() as Required<unknown>, "x".repeat(70)],
    "a message": [Inner as Required<unknown>, { at: 300, note: "hi" }],
    "a message that needs two bytes of length": [
      message("Long", { text: [1, string()] }) as Required<unknown>, { text: "é".repeat(70) },
    ],
    "a list": [list(i53(), 10) as unknown as Required<unknown>, [-1, 2 ** 40, -(2 ** 20)]],
  };

  for (const [name, [type, value]] of Object.entries(shapes)) {
    it(`${name} survives at every offset around its end`, () => {
      // A number leaves room behind it, whatever comes next. A key that is text may end where the
      // scratch ends.
      const Edge = message("Edge", {
        before: [1, bytes()],
        it: [2, type],
        by: [3, map(type, 2)],
        after: [4, u53()],
      });
      const by = { ["k".repeat(10)]: value, ["l".repeat(10)]: value };
      const all = { it: value, by, after: 7 };
      // Wherever the scratch ends, it ends once behind each byte of all that comes after the
      // filling.
      for (let at = -Edge.encode({ before: Buffer.alloc(0), ...all }).length; at <= 2; at++) {
        Huge.encode(huge); // too large to be kept: the next message begins with a new scratch
        const sent = { before: Buffer.alloc(SCRATCH_BYTES + at, 0xee), ...all };
        assert.deepEqual(Edge.decode(Edge.encode(sent)), sent, `${-at} bytes before the end`);
      }
    });
  }
});

describe("codec: a list that is read as bytes", () => {
  const Rows = message("Rows", { rows: [1, list(Started, 9)] });
  const Sealed = message("Rows", { rows: [1, bytes()] });
  const rows = [1, 2, 3].map((run) => ({ run, worker: "w" }));
  const { rows: encoded } = Sealed.decode(Rows.encode({ rows }));
  const each = (bytes: Uint8Array, maxItems: number): unknown[] => {
    const found: unknown[] = [];
    eachItem(Started, { encoded: bytes, maxItems, where: "Rows.rows" }, (row) => {
      found.push(Started.decode(Started.encode(row))); // decodes something else meanwhile
    });
    return found;
  };

  it("eachItem() hands out the items of it, as many as are allowed", () => {
    assert.deepEqual(each(encoded, 3), Rows.decode(Rows.encode({ rows })).rows);
    assert.deepEqual(each(Buffer.alloc(0), 0), []);
    const error = { name: "CodecError", code: "TOO_LARGE", message: /: more than 2 items$/ };
    assert.throws(() => each(encoded, 2), error);
  });

  it("eachItem() refuses every truncated prefix that does not end between two items", () => {
    const third = encoded.length / 3;
    for (let length = 1; length < encoded.length; length++) {
      if (length % third === 0) continue;
      assert.throws(() => each(encoded.subarray(0, length), 3), { name: "CodecError" });
    }
    const error = { code: "TRUNCATED", message: /^Cannot decode Rows.rows: / };
    assert.throws(() => each(Buffer.of(200), 3), error);
  });
});

describe("codec: limits, at their value and one beyond", () => {
  it("bytes() without a limit of its own takes 8 MiB, and string() 64 KiB", () => {
    const B = message("B", { b: [1, bytes()] });
    const most = { b: Buffer.alloc(8 * 1024 * 1024, 1) };
    assert.ok(B.decode(B.encode(most)).b.equals(most.b));
    refuses(() => B.encode({ b: Buffer.alloc(8 * 1024 * 1024 + 1) }), "TOO_LARGE");
    const S = message("S", { s: [1, string()] });
    for (const char of ["x", "é"]) {
      const text = char.repeat(65_536 / Buffer.byteLength(char));
      assert.deepEqual(S.decode(S.encode({ s: text })), { s: text });
      refuses(() => S.encode({ s: `${text}x` }), "TOO_LARGE");
    }
  });

  it("a field may have number 65,535, and types nest 32 deep", () => {
    const Last = message("Last", { a: [65_535, u32()] });
    assert.deepEqual(Last.decode(Last.encode({ a: 7 })), { a: 7 });
    const nest = (depth: number): Required<unknown> => {
      let type: Required<unknown> = u32() as Required<unknown>;
      for (let i = 0; i < depth; i++) {
        type = message(`D${i}`, { a: [1, type] }) as Required<unknown>;
      }
      return type;
    };
    assert.doesNotThrow(() => nest(32));
    assert.throws(() => nest(33), /types nest at most 32 deep/);
  });

  it("a list and a map take as many as they say, on both sides", () => {
    const two = message("Few", { l: [1, list(u32(), 2)], m: [2, map(u32(), 2)] });
    const three = message("Few", { l: [1, list(u32(), 3)], m: [2, map(u32(), 3)] });
    const full = { l: [1, 2], m: { a: 1, b: 2 } };
    assert.deepEqual(two.decode(three.encode(full)), full);
    for (const more of [{ ...full, l: [1, 2, 3] }, { ...full, m: { a: 1, b: 2, c: 3 } }]) {
      refuses(() => two.encode(more), "TOO_LARGE");
      refuses(() => two.decode(three.encode(more)), "TOO_LARGE");
    }
  });
});

/** Different encodings, for the tests that damage them. */
function samples(): [
  { name: string; encode(value: never): Buffer; decode(bytes: Uint8Array): unknown },
  Buffer,
][] {
  const Numbers = message("Numbers", {
    f: [1, f64()],
    i: [2, i53()],
    b: [3, bool()],
    list: [4, list(u53(), 10)],
    raw: [200, bytes(100)],
  });
  return [
    [Hello, Hello.encode(hello)],
    [
      Hello,
      Hello.encode({ role: "client", name: "c", tags: [], slots: 1, env: {}, inner: { at: 0 } }),
    ],
    [Event, Event.encode({ type: "RunSubmitted", id: "nightly-1", priority: -300 })],
    [
      Numbers,
      Numbers.encode({
        f: 0.1,
        i: -(2 ** 50),
        b: true,
        list: [0, 2 ** 53 - 1, 300],
        raw: Buffer.alloc(99, 0xff),
      }),
    ],
  ];
}
