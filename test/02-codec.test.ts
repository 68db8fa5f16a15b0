/** The contract of chapter 02, written against "#codec" only. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bool, bytes, CodecError, type CodecErrorCode, enumOf, f64, i53, type Infer, list, map, message, optional, string, u32, u53, union, withDefault } from "#codec";

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

describe("codec", () => {
  it("decode(encode(value)) is the value", () => {
    assert.deepEqual(Hello.decode(Hello.encode(hello)), hello);
    const event: Event = { type: "JobStarted", run: 1, worker: "w" };
    assert.deepEqual(Event.decode(Event.encode(event)), event);
  });
});
void [bool, bytes, f64, refuses];
