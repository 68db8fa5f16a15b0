/** RESP on its own: every cut, every lie about a length, and noise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "#host";
import {
  MAX_ARGUMENTS,
  MAX_BULK_BYTES,
  MAX_COMMAND_BYTES,
  MAX_INLINE_BYTES,
  MAX_UNTRUSTED_ARGUMENTS,
  MAX_UNTRUSTED_BYTES,
  RespError,
  RespParser,
  RespWriter,
} from "#store";
import { RespInput } from "../src/store/resp/input.ts";
import { held } from "./15-store.support.ts";

/** As in resp.ts: how many arguments, and how long a word, are read the quick way. */
const QUICK_ARGUMENTS = 1024;
const WORD_BYTES = 24;

const bytes = (latin1: string): Buffer => Buffer.from(latin1, "latin1");
const request = (...argv: string[]): string =>
  `*${argv.length}\r\n${argv.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("")}`;

/** What comes out of these chunks: commands, and at the end the error, if it came to one. */
function parse(
  chunks: readonly Buffer[],
  options: { trusted?: boolean } = {},
): (string[] | string)[] {
  const parser = new RespParser();
  parser.trusted = options.trusted ?? true;
  const out: (string[] | string)[] = [];
  try {
    for (const chunk of chunks) {
      parser.push(chunk);
      for (let argv = parser.next(); argv !== undefined; argv = parser.next()) out.push(argv);
    }
  } catch (error) {
    assert.ok(error instanceof RespError, String(error));
    const isLarge = /too big|unauthenticated|exceeds/.test(error.message);
    const [name, code] = ["RespError", isLarge ? "TOO_LARGE" : "MALFORMED"];
    assert.throws(() => parser.next(), { name, code, message: error.message }); // for ever
    assert.throws(() => parser.push(bytes("*1\r\n$4\r\nPING\r\n")), error);
    out.push(error.message.replace("Protocol error: ", ""));
  }
  return out;
}
const single = (text: string): Buffer[] => Array.from(text, (char) => bytes(char));

const BINARY = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
const STREAM = [
  request("PING"), request("SET", "key", "value"), "*0\r\n", "*-1\r\n", "\r\n", "GET key\r\n",
  "  get\t'a b'  \"c\\x41\\n\\\"\"\n", request("SET", "", BINARY),
  request("MSET", ...Array.from({ length: 12 }, (_, i) => `k${i}`)), "quit\r\n",
].join("");
const COMMANDS = [
  ["PING"], ["SET", "key", "value"], ["GET", "key"], ["get", "a b", 'cA\n"'], ["SET", "", BINARY],
  ["MSET", ...Array.from({ length: 12 }, (_, i) => `k${i}`)], ["quit"],
];

test("RespParser.next() yields the same commands for every cut in two and for single bytes", () => {
  assert.deepEqual(parse([bytes(STREAM)]), COMMANDS);
  assert.deepEqual(parse(single(STREAM)), COMMANDS);
  for (let cut = 0; cut <= STREAM.length; cut++) {
    assert.deepEqual(
      parse([bytes(STREAM.slice(0, cut)), bytes(STREAM.slice(cut))]),
      COMMANDS,
      `cut at ${cut}`,
    );
  }
});

test("RespParser.next() yields the same commands when chunks wait to be read", () => {
  const seed = 15;
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const parser = new RespParser();
    const got: string[][] = [];
    for (let at = 0; at < STREAM.length; ) {
      const size = random.u32() % 40;
      parser.push(bytes(STREAM.slice(at, at + size)));
      at += size;
      const argv = random.u32() % 3 === 0 ? parser.next() : undefined;
      if (argv !== undefined) got.push(argv);
    }
    for (let argv = parser.next(); argv !== undefined; argv = parser.next()) got.push(argv);
    assert.deepEqual(got, COMMANDS, `seed ${seed}, round ${round}`);
    assert.equal(parser.unreadBytes, 0);
  }
});

test("RespParser.next() reads digits only as a number", () => {
  const few = "$1\r\na\r\n";
  for (const [text, error] of [
    [`*1/\r\n${few.repeat(9)}`, "invalid multibulk length"],
    [`*1:\r\n${few.repeat(20)}`, "invalid multibulk length"],
    [`*:\r\n${few.repeat(10)}`, "invalid multibulk length"],
    [`*1\r\n$1/\r\n${"a".repeat(9)}\r\n`, "invalid bulk length"],
    [`*1\r\n$1:\r\n${"a".repeat(20)}\r\n`, "invalid bulk length"],
    [`*1\r\n$:\r\n${"a".repeat(10)}\r\n`, "invalid bulk length"],
    ["*1\r\n$0/\r\n\r\n", "invalid bulk length"],
  ] as const) {
    assert.deepEqual(parse([bytes(text)]), [error], JSON.stringify(text));
  }
});

test("RespParser says whether it is inside a command, and what it holds of it", () => {
  const parser = new RespParser();
  const cost = 24;
  const held = (text: string): [boolean, number] => {
    parser.push(bytes(text));
    while (parser.next() !== undefined);
    return [parser.isInside, parser.heldBytes];
  };
  assert.deepEqual([parser.isInside, parser.heldBytes], [false, 0]);
  assert.deepEqual(held("*2\r\n"), [true, 0]);
  assert.deepEqual(held("$3\r\n"), [true, cost]);
  assert.deepEqual(held("abc\r\n"), [true, cost + 3]);
  assert.deepEqual(held("$5\r\n"), [true, 2 * cost + 3]);
  assert.deepEqual(held("hello\r\n"), [false, 0]);
  assert.equal(held("*")[0], true);
  assert.deepEqual(held("1\r\n"), [true, 0]);
  assert.deepEqual(held("$0\r\n\r\n*1\r\n$1\r\na\r\n"), [false, 0]);
  assert.equal(held("PI")[0], true);
  assert.deepEqual(held("NG\r\n"), [false, 0]);
});

test("RespParser.next() never takes one short argument for another", () => {
  // These two have the same place among the words.
  const pair = ["1b", "qb", "1b"];
  assert.deepEqual(parse([bytes(request(...pair))]), [pair]);
  const seed = 24;
  const random = seededRandom(seed);
  const letters = ["", "a", "b", "\x00", "\xff", "key:", "key;", "0"];
  for (let round = 0; round < 3000; round++) {
    const argv = Array.from({ length: 8 }, () =>
      Array.from(
        { length: 1 + (random.u32() % 9) },
        () => letters[random.u32() % letters.length]!,
      ).join(""),
    );
    assert.deepEqual(parse([bytes(request(...argv))]), [argv], `seed ${seed}, round ${round}`);
  }
});

test("RespParser.next() reads commands that are whole the quick way: no line, no short word anew",
  (t) => {
    const word = (length: number): string => "qwertyuiopasdfghjklzxcvbnm".slice(0, length);
    const one = ["SET", word(8), word(9), ""];
    const commands = [
      ["PING"], one, [...one, ...one, "x"], [...one, ...one, "x", "y"],
      Array.from({ length: 19 }, () => "GET"), Array.from({ length: 90 }, () => "GET"),
      Array.from({ length: QUICK_ARGUMENTS }, () => "1"),
      Array.from({ length: WORD_BYTES }, (_, i) => word(i + 1)),
      ["SET", "ka", "kd", "kc", "xkc", "ykc", "xykc", "a", "b"],
      ...[19, 90, 99, 100, 109, 1000].map((length) => ["SET", "k", "v".repeat(length)]),
    ];
    const chunks = [...commands.map((argv) => [argv]), commands]
      .map((group) => bytes(group.map((argv) => request(...argv)).join("")));
    const asked = [...commands, ...commands];
    const lines = t.mock.method(RespInput.prototype, "line").mock;
    assert.deepEqual(parse(chunks), asked);
    assert.equal(lines.callCount(), 0, "lines");
    const made = t.mock.method(Buffer.prototype, "toString").mock;
    assert.deepEqual(parse(chunks), asked);
    const longer = asked.flat().filter((arg) => arg.length > WORD_BYTES);
    assert.equal(made.callCount(), longer.length, "strings");
    const many = Array.from({ length: QUICK_ARGUMENTS + 1 }, () => "1");
    assert.deepEqual(parse([bytes(request(...many))]), [many]);
    assert.equal(lines.callCount(), many.length + 1);
  });

test("RespParser.next() takes any number of spaces around the words of a line", () => {
  for (const line of ["SET k v", " SET k v", "SET  k   v", "SET k v ", "  SET k  v  "]) {
    assert.deepEqual(parse([bytes(`${line}\r\n`)]), [["SET", "k", "v"]], JSON.stringify(line));
  }
  assert.deepEqual(parse([bytes("SET 'it\\'s' 'a\\b'\r\n")]), [["SET", "it's", "a\\b"]]);
});

test("RespParser.next() yields nothing from any truncated prefix of a command", () => {
  for (const whole of [request("SET", "key", BINARY), "set 'a b' c\r\n"]) {
    for (let length = 0; length < whole.length; length++) {
      assert.deepEqual(parse([bytes(whole.slice(0, length))]), [], `${length} bytes`);
    }
  }
});

for (const [what, text, error] of [
  ["no count", "*\r\n", "invalid multibulk length"],
  ["a count of letters", "*abc\r\n", "invalid multibulk length"],
  ["a count with a plus", "*+1\r\n", "invalid multibulk length"],
  ["a count with a space", "* 1\r\n", "invalid multibulk length"],
  ["a count with a zero in front", "*01\r\n", "invalid multibulk length"],
  ["minus nothing", "*-\r\n", "invalid multibulk length"],
  ["a count with a fraction", "*1.0\r\n", "invalid multibulk length"],
  ["one argument too many", `*${MAX_ARGUMENTS + 1}\r\n`, "invalid multibulk length"],
  ["2^64 arguments", "*18446744073709551616\r\n", "invalid multibulk length"],
  ["2^31 arguments", "*2147483648\r\n", "invalid multibulk length"],
  [
    "a count that never ends",
    `*${"1".repeat(MAX_INLINE_BYTES + 100)}`,
    "too big mbulk count string",
  ],
  ["an argument that is not a bulk", "*1\r\n+PING\r\n", "expected '$', got '+'"],
  ["an argument that is an integer", "*1\r\n:1\r\n", "expected '$', got ':'"],
  ["an empty line for an argument", "*1\r\n\r\n", "expected '$', got '\r'"],
  ["an array in an array", "*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"],
  ["a length of -1", "*1\r\n$-1\r\n", "invalid bulk length"],
  ["a hugely negative length", "*1\r\n$-9223372036854775808\r\n", "invalid bulk length"],
  ["a length of letters", "*1\r\n$four\r\nPING\r\n", "invalid bulk length"],
  ["no length", "*1\r\n$\r\nPING\r\n", "invalid bulk length"],
  ["a length with zeros in front", "*1\r\n$04\r\nPING\r\n", "invalid bulk length"],
  ["one byte too many", `*1\r\n$${MAX_BULK_BYTES + 1}\r\n`, "invalid bulk length"],
  ["2^63 bytes", "*1\r\n$9223372036854775808\r\n", "invalid bulk length"],
  [
    "a length that never ends",
    `*1\r\n$${"1".repeat(MAX_INLINE_BYTES + 100)}`,
    "too big bulk count string",
  ],
  ["a length that is too short", "*1\r\n$3\r\nPING\r\n", "expected CRLF behind an argument"],
  [
    "a length that is too long",
    "*2\r\n$5\r\nPING\r\n$1\r\na\r\n",
    "expected CRLF behind an argument",
  ],
  ["an open double quote", 'SET "key\r\n', "unbalanced quotes in request"],
  ["an open single quote", "SET 'key\r\n", "unbalanced quotes in request"],
  ["a backslash at the end of quotes", 'SET "key\\\r\n', "unbalanced quotes in request"],
  ["text glued to a quote", 'SET "key"value\r\n', "unbalanced quotes in request"],
  ["text glued to a single quote", "SET 'it''s'\r\n", "unbalanced quotes in request"],
  ["a line of 10 MB", "x".repeat(10_000_000), "too big inline request"],
  ["a line one byte too long", `${"x".repeat(MAX_INLINE_BYTES + 1)}\r\n`, "too big inline request"],
  ["a browser's POST", "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n", "this is HTTP"],
  ["a browser's header", "Host: x\r\n", "this is HTTP"],
] as const) {
  test(`RespParser refuses ${what}, whole and in single bytes`, () => {
    assert.deepEqual(parse([bytes(text)]), [error]);
    assert.deepEqual(parse([bytes(`${request("PING")}${text}`)]), [["PING"], error]);
    if (text.length < 1_000_000) assert.deepEqual(parse(single(text)), [error]);
  });
}

test("RespParser takes what is exactly at a limit", () => {
  const line = `SET ${"x".repeat(MAX_INLINE_BYTES - 4)}`;
  assert.deepEqual(parse([bytes(`${line}\r\n`)]), [["SET", "x".repeat(MAX_INLINE_BYTES - 4)]]);
  assert.deepEqual(parse([bytes(`*${MAX_ARGUMENTS}\r\n`)]), []);
  assert.deepEqual(parse([bytes(`*1\r\n$${MAX_BULK_BYTES}\r\n`)]), []);
  // The numbers that docs and lesson name: 2^20 arguments, 64 MiB in one, 64 KiB in a line.
  assert.deepEqual(parse([bytes("*1048577\r\n")]), ["invalid multibulk length"]);
  assert.deepEqual(parse([bytes("*1048576\r\n")]), []);
  assert.deepEqual(parse([bytes("*1\r\n$67108865\r\n")]), ["invalid bulk length"]);
  assert.deepEqual(parse([bytes("*1\r\n$67108864\r\n")]), []);
  assert.deepEqual(parse([bytes("x".repeat(65_536 + 2))]), ["too big inline request"]);
  assert.deepEqual(parse([bytes("x".repeat(65_536))]), []);
});

test("RespParser refuses a command whose arguments are too much together", () => {
  const parser = new RespParser();
  const chunk = Buffer.alloc(1024 * 1024, "x");
  const pushAll = (): void => {
    for (let argument = 0; argument < MAX_COMMAND_BYTES / MAX_BULK_BYTES; argument++) {
      parser.push(bytes(`$${MAX_BULK_BYTES}\r\n`));
      for (let at = 0; at < MAX_BULK_BYTES; at += chunk.length) parser.push(chunk);
      parser.push(bytes("\r\n"));
      assert.equal(parser.next(), undefined);
    }
  };
  parser.push(bytes("*100\r\n"));
  assert.throws(pushAll, { code: "TOO_LARGE", message: /command exceeds 268435456 bytes/ });
});

test("RespParser gives strangers little", () => {
  const stranger = { trusted: false };
  const args = (count: number): string[] => Array.from({ length: count }, () => "a");
  assert.deepEqual(parse([bytes(request(...args(MAX_UNTRUSTED_ARGUMENTS)))], stranger), [
    args(MAX_UNTRUSTED_ARGUMENTS),
  ]);
  assert.deepEqual(parse([bytes(request(...args(MAX_UNTRUSTED_ARGUMENTS + 1)))], stranger), [
    "unauthenticated multibulk length",
  ]);
  assert.deepEqual(parse([bytes(request("AUTH", "x".repeat(MAX_UNTRUSTED_BYTES)))], stranger), [
    ["AUTH", "x".repeat(MAX_UNTRUSTED_BYTES)],
  ]);
  assert.deepEqual(parse([bytes(request("AUTH", "x".repeat(MAX_UNTRUSTED_BYTES + 1)))], stranger), [
    "unauthenticated bulk length",
  ]);
  assert.deepEqual(parse([bytes(`${args(10).join(" ")}\r\n`)], stranger), [args(10)]);
  assert.deepEqual(parse([bytes(`${args(11).join(" ")}\r\n`)], stranger), [
    "unauthenticated multibulk length",
  ]);
  assert.deepEqual(parse([bytes("x".repeat(MAX_UNTRUSTED_BYTES + 2))], stranger), [
    "too big inline request",
  ]);
  assert.deepEqual(
    parse([bytes(`*${"0".repeat(65)}`)], stranger),
    ["too big mbulk count string"],
    "a count has few digits",
  );
  assert.deepEqual(parse([bytes(`*1\r\n$${"0".repeat(65)}`)], stranger), [
    "too big bulk count string",
  ]);
  assert.deepEqual(
    parse([bytes(request("a".repeat(9000), "a".repeat(9000)))], stranger),
    ["command exceeds 17408 bytes"],
    "16 KiB in all, not each",
  );
  // Each costs 24 bytes more than it has.
  const two = ["a".repeat(16 * 1024), "a".repeat(1024 - 2 * 24)];
  assert.deepEqual(parse([bytes(request(...two))], stranger), [two]);
  assert.deepEqual(
    parse([bytes(request(two[0]!, `${two[1]!}a`))], stranger),
    ["command exceeds 17408 bytes"],
  );
  const slow = new RespParser();
  slow.trusted = false;
  for (let i = 0; i < MAX_UNTRUSTED_BYTES; i += 64) {
    slow.push(bytes("x".repeat(64)));
    assert.equal(slow.next(), undefined);
  }
  assert.ok(
    slow.heldBytes <= MAX_UNTRUSTED_BYTES + 1,
    `${slow.heldBytes} bytes are kept for a line that does not end`,
  );
  assert.ok(slow.heldBytes >= MAX_UNTRUSTED_BYTES, "what is kept is counted");
  slow.push(bytes("y".repeat(64)));
  assert.throws(() => slow.next(), { code: "TOO_LARGE" });
  assert.equal(slow.heldBytes, 0, "a stream that is over keeps nothing");
});

test("RespParser counts the bytes of one command, and not of all", () => {
  const parser = new RespParser();
  parser.trusted = false;
  for (let i = 0; i < 20; i++) {
    parser.push(bytes(request("AUTH", "x".repeat(1000))));
    assert.equal(parser.next()?.length, 2);
  }
  assert.equal(parser.heldBytes, 0);
});

test("RespParser trusts from the next command on", () => {
  const parser = new RespParser();
  parser.trusted = false;
  parser.push(bytes(request("AUTH", "pw") + request("SET", "k", "x".repeat(20_000))));
  assert.deepEqual(parser.next(), ["AUTH", "pw"]);
  parser.trusted = true;
  assert.equal(parser.next()?.[2]?.length, 20_000);
});

/**
 * Either a command or an error or nothing, but never anything else; and the same whatever the cuts.
 */
test("RespParser survives mutated streams, and cuts change nothing", () => {
  const seed = 20_150;
  const random = seededRandom(seed);
  for (let round = 0; round < 3000; round++) {
    const damaged = mutate(bytes(STREAM), random);
    const expected = parse([damaged]);
    const chunks: Buffer[] = [];
    for (let at = 0, size = 0; at < damaged.length; at += size) {
      chunks.push(damaged.subarray(at, at + (size = 1 + (random.u32() % 64))));
    }
    assert.deepEqual(parse(chunks), expected, `seed ${seed}, round ${round}`);
  }
});

function mutate(original: Buffer, random: Random): Buffer {
  let out = Buffer.from(original);
  for (let n = 1 + (random.u32() % 3); n > 0; n--) {
    const at = random.u32() % out.length;
    const kind = random.u32() % 4;
    if (kind === 0) out[at]! ^= 1 << (random.u32() % 8);
    else if (kind === 1) out[at] = "*$\r\n-0919 \"'"[random.u32() % 12]!.charCodeAt(0);
    else if (kind === 2) {
      out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + (random.u32() % 8))]);
    } else {
      out = Buffer.concat([
        out.subarray(0, at),
        Buffer.from(random.bytes(1 + (random.u32() % 8))),
        out.subarray(at),
      ]);
    }
    if (out.length === 0) return out;
  }
  return out;
}

test("every single flipped bit of a command gives commands, an error, or a wait for more", () => {
  const whole = bytes(request("SET", "key", "value"));
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const got = parse([flipped]);
    assert.deepEqual(parse(Array.from(flipped, (byte) => Buffer.of(byte))), got, `bit ${bit}`);
    // No damage to the frame around it may go unnoticed as the same command.
    assert.notDeepEqual(got, [["SET", "key", "value"]], `bit ${bit}`);
  }
});


test("a promise of 64 MiB or of a million arguments costs nothing until it is kept", () => {
  const before = held();
  const parsers = Array.from({ length: 1000 }, (_, i) => {
    const parser = new RespParser();
    parser.push(
      bytes(
        i % 2 === 0 ? `*2\r\n$3\r\nSET\r\n$${MAX_BULK_BYTES}\r\nx` : `*${MAX_ARGUMENTS}\r\n$1\r\n`,
      ),
    );
    assert.equal(parser.next(), undefined);
    return parser;
  });
  const each = (held() - before) / parsers.length;
  assert.ok(each < 4096, `${each} bytes each`);
});

test("a large argument in small chunks takes time and memory in proportion to its bytes", () => {
  const count = 200_000;
  const parser = new RespParser();
  parser.push(bytes(`*1\r\n$${count * 16}\r\n`));
  const before = held();
  const chunk = Buffer.alloc(16, "a");
  for (let i = 0; i < count; i++) {
    parser.push(chunk);
    assert.equal(parser.next(), undefined);
  }
  // Quadratic copying would be 320 GB: this test would not end.
  assert.ok(held() - before < 5 * count * 16);
  parser.push(bytes("\r\n"));
  assert.equal(parser.next()?.[0]?.length, count * 16);
});

test("an argument does not keep the chunk that it came in", async () => {
  const kept: string[] = [];
  const before = held();
  for (let i = 0; i < 500; i++) {
    const parser = new RespParser();
    parser.push(bytes(request("SET", `key:${i}`, "x".repeat(64)).padEnd(64 * 1024)));
    kept.push(...parser.next()!);
  }
  // Memory outside the heap is given back some time after the collection that found it: look until
  // it is, or will not be.
  let each = Infinity;
  for (let look = 0; look < 50 && each >= 2048; look++) {
    await new Promise((resolve) => setImmediate(resolve));
    each = (held() - before) / 500;
  }
  assert.ok(each < 2048, `${each} bytes each`);
  assert.equal(kept.length, 1500);
});

function written(protocol: 2 | 3, write: (out: RespWriter) => void): string {
  const out = new RespWriter();
  out.protocol = protocol;
  write(out);
  const { size } = out;
  const text = out.take().toString("latin1");
  assert.equal(text.length, size);
  assert.equal(out.size, 0);
  assert.equal(out.take().length, 0);
  return text;
}

for (const [method, write, two, three] of [
  ["ok", (out) => out.ok(), "+OK\r\n", "+OK\r\n"],
  ["simple", (out) => out.simple("QUEUED"), "+QUEUED\r\n", "+QUEUED\r\n"],
  ["error", (out) => out.error("ERR no\r\n+OK"), "-ERR no  +OK\r\n", "-ERR no  +OK\r\n"],
  [
    "int",
    (out) => [0, -1, 1023, 1024, 2 ** 53 - 1, -(2n ** 63n), 5n].forEach((n) => out.int(n)),
    ":0\r\n:-1\r\n:1023\r\n:1024\r\n:9007199254740991\r\n:-9223372036854775808\r\n:5\r\n",
    undefined,
  ],
  [
    "bulk",
    (out) => ["", "a\r\n", "\xff\x00"].forEach((text) => out.bulk(text)),
    "$0\r\n\r\n$3\r\na\r\n\r\n$2\r\n\xff\x00\r\n",
    undefined,
  ],
  ["verbatim", (out) => out.verbatim("text"), "$4\r\ntext\r\n", "=8\r\ntxt:text\r\n"],
  ["nil", (out) => out.nil(), "$-1\r\n", "_\r\n"],
  ["nilArray", (out) => out.nilArray(), "*-1\r\n", "_\r\n"],
  ["array", (out) => out.array(2), "*2\r\n", "*2\r\n"],
  ["map", (out) => out.map(2), "*4\r\n", "%2\r\n"],
  ["set", (out) => out.set(2), "*2\r\n", "~2\r\n"],
  ["push", (out) => out.push(3), "*3\r\n", ">3\r\n"],
  [
    "double",
    (out) => [1.5, -0.1, Infinity, -Infinity, NaN].forEach((n) => out.double(n)),
    "$3\r\n1.5\r\n$4\r\n-0.1\r\n$3\r\ninf\r\n$4\r\n-inf\r\n$3\r\nnan\r\n",
    ",1.5\r\n,-0.1\r\n,inf\r\n,-inf\r\n,nan\r\n",
  ],
  ["bool", (out) => [true, false].forEach((b) => out.bool(b)), ":1\r\n:0\r\n", "#t\r\n#f\r\n"],
] as [string, (out: RespWriter) => void, string, string | undefined][]) {
  test(`RespWriter.${method}() writes RESP2 and RESP3`, () => {
    assert.equal(written(2, write), two);
    assert.equal(written(3, write), three ?? two);
  });
}

test("RespWriter.take() gives bulks of every size back, alone and mixed", () => {
  const sizes = [0, 1, 1023, 1024, 4095, 4096, 16_383, 16_384, 100_000];
  const expected = sizes
    .flatMap((size) => [":7\r\n", `$${size}\r\n${"\xe9".repeat(size)}\r\n`])
    .join("");
  const write = (out: RespWriter): void => sizes.forEach((size) => {
    out.int(7);
    out.bulk("\xe9".repeat(size));
  });
  assert.equal(written(2, write), expected);
  for (const size of sizes) {
    assert.equal(
      written(2, (out) => out.bulk("x".repeat(size))),
      `$${size}\r\n${"x".repeat(size)}\r\n`,
    );
  }
});

test("RespWriter holds little more than the bytes that wait for a slow reader", () => {
  const before = held();
  const out = new RespWriter();
  for (let i = 0; i < 100_000; i++) {
    out.push(3);
    out.bulk("message");
    out.bulk("news");
    out.bulk(`headline ${i}`);
  }
  const factor = (held() - before) / out.size;
  assert.ok(factor < 1.5, `${factor} bytes a byte`);
});

test("RespWriter gives an answer of exactly so many bytes as it keeps, none of one more", () => {
  const size = "$5000\r\n\r\n".length + 5000;
  for (const [keepBytes, given] of [[size, size], [size - 1, 0]] as const) {
    const out = new RespWriter(keepBytes);
    out.bulk("v".repeat(5000));
    assert.equal(out.size, size);
    assert.equal(out.take().length, given);
  }
});

test("RespWriter keeps nothing of an answer that its reader will not be sent, but its size", () => {
  const out = new RespWriter(1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 30_000; i++) out.bulk("v".repeat(3000));
  assert.equal(out.size, 30_000 * 3009);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024, "90 MB were kept");
  assert.equal(out.take().length, 0);
  assert.equal(out.size, 0);
  out.ok();
  assert.equal(out.take().toString(), "+OK\r\n");
});
