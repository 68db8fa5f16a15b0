/**
 * Chapter 18: models: the script, and the wire of a provider, broken answers included.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  chooseModel, MAX_REPLY_BYTES, ModelError, openAiCompatible, scripted, type Message, type Model,
  type ModelRequest, type OpenAiOptions,
} from "#agent";
import { nodeHost, seededRandom } from "#host";
import { readEvents } from "../src/agent/models/sse.ts";
import {
  delta, event, hang, pieces, Provider, reset, status, whole,
} from "./18-agents.support.ts";

const request = (fields: Partial<ModelRequest> = {}): ModelRequest => ({
  agent: "a", turn: 1, system: "Be brief.", messages: [{ role: "user", text: "Say it." }],
  tools: [], maxTokens: 100, ...fields,
});

type Script = Parameters<typeof Provider.start>;
const DONE = event("[DONE]");
const USAGE = event({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 7 } });

/** A provider that plays a script, and a model that asks it. Pauses between tries take no time. */
async function stage(
  t: TestContext, script: Script, options: Partial<OpenAiOptions> = {},
): Promise<{ provider: Provider; model: Model; pauses: number[] }> {
  const provider = await Provider.start(...script);
  t.after(() => provider.close());
  const { clock, timers } = nodeHost();
  const pauses: number[] = [];
  const host = {
    clock, random: seededRandom(18),
    timers: {
      ...timers,
      // Pauses are whole; the two watchdogs of a try have the lengths that the test gives them.
      after: (ms: number, fn: () => void) => {
        if (ms === IDLE || ms === TOTAL) return timers.after(ms, fn);
        pauses.push(ms);
        return timers.after(0, fn);
      },
    },
  };
  const { baseUrl } = provider;
  const model = openAiCompatible({
    baseUrl, model: "m", apiKey: "sk-secret", host, idleMs: IDLE, totalMs: TOTAL, ...options,
  });
  return { provider, model, pauses };
}
const IDLE = 5001;
const TOTAL = 9001;

async function failure(model: Model, asked = request()): Promise<ModelError> {
  try {
    await model.reply(asked);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    assert.doesNotMatch(error.message, /sk-secret/);
    return error;
  }
  throw new assert.AssertionError({ message: "there was a reply" });
}

// ── the wire ─────────────────────────────────────────────────────────────────────────────────────

test("openAiCompatible() sends the conversation in the words of the wire", async (t) => {
  const { provider, model } = await stage(t, [whole({ content: "It." })]);
  const messages: Message[] = [
    { role: "user", text: "Read a." },
    { role: "assistant", text: "", calls: [{ id: "x1", name: "read", arguments: '{"p":1}' }] },
    { role: "tool", call: "x1", text: "alpha" },
  ];
  const parameters = { type: "object" as const, properties: {} };
  const tools = [{ name: "read", description: "Reads.", parameters }];
  const reply = await model.reply(request({ messages, tools }), { idempotencyKey: "k1" });
  assert.deepEqual(reply, {
    text: "It.", calls: [], isCut: false, usage: { tokensIn: 12, tokensOut: 7, usdMicros: 0 },
  });
  const [{ path, headers, body }] = provider.asked as [Provider["asked"][number]];
  assert.equal(path, "/v1/chat/completions");
  assert.equal(headers.authorization, "Bearer sk-secret");
  assert.equal(headers["idempotency-key"], "k1");
  assert.deepEqual(body, {
    model: "m",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Read a." },
      {
        role: "assistant", content: "",
        tool_calls: [
          { id: "x1", type: "function", function: { name: "read", arguments: '{"p":1}' } },
        ],
      },
      { role: "tool", tool_call_id: "x1", content: "alpha" },
    ],
    tools: [{ type: "function", function: { name: "read", description: "Reads.", parameters } }],
    max_tokens: 100, stream: true, stream_options: { include_usage: true },
  });
});

const TOOLS_STREAM = [
  delta({ role: "assistant", content: "Wär" }), ": keep-alive\n\n", delta({ content: "me" }),
  delta({ tool_calls: [{ index: 0, id: "c9", function: { name: "read", arguments: "" } }] }),
  delta({ tool_calls: [{ index: 0, function: { arguments: '{"pa' } }] }),
  delta({ tool_calls: [{ index: 1, function: { name: "stat", arguments: "{}" } }] }),
  delta({ tool_calls: [{ index: 0, function: { arguments: 'th": 1}' } }] }),
  delta({}, "tool_calls"), USAGE, DONE,
].join("");
const TOOLS_REPLY = {
  text: "Wärme",
  calls: [
    { id: "c9", name: "read", arguments: '{"path": 1}' },
    { id: "call_2", name: "stat", arguments: "{}" },
  ],
  isCut: false,
  usage: { tokensIn: 12, tokensOut: 7, usdMicros: 12 + 70 },
};

test("a streamed reply is the same in one piece, in bytes, and with other " +
  "ends of lines", async (t) => {
  const bytes = [...Buffer.from(TOOLS_STREAM)].map((byte) => Uint8Array.of(byte));
  const crlf = TOOLS_STREAM.replaceAll("\n", "\r\n");
  const script: Script = [pieces(TOOLS_STREAM), pieces(...bytes), pieces(crlf)];
  const { model } = await stage(t, script, { price: { in: 1, out: 10 } });
  for (const _ of script) {
    const shown: string[] = [];
    const onText = (text: string): void => void shown.push(text);
    assert.deepEqual(await model.reply(request(), { onText }), TOOLS_REPLY);
    assert.deepEqual(shown, ["Wär", "me"]);
  }
});

test("readEvents() yields the same events wherever their bytes are cut", async () => {
  const limit = { maxBytes: 1000, tooLong: () => new Error("too long") };
  const events = async (...chunks: Uint8Array[]): Promise<string[]> => {
    const found: string[] = [];
    const all = (async function* () { yield* chunks; })();
    for await (const data of readEvents(all, limit)) found.push(data);
    return found;
  };
  const bytes = Buffer.from(": hello\r\n\r\ndata: Wär\r\ndata:me\r\n\r\ndata: [DONE]\n\n");
  const expected = ["Wär\nme", "[DONE]"];
  for (let at = 0; at <= bytes.length; at++) {
    const found = await events(bytes.subarray(0, at), bytes.subarray(at));
    assert.deepEqual(found, expected, `cut behind byte ${at}`);
  }
  assert.deepEqual(await events(...[...bytes].map((byte) => Uint8Array.of(byte))), expected);
});

test("a stream without its last line is whole if it says why it ended", async (t) => {
  const { model } = await stage(t, [
    pieces(delta({ content: "a" }), delta({}, "length"), USAGE),
    whole({ content: "a" }, { choices: [{ message: { content: "a" }, finish_reason: "length" }] }),
  ]);
  for (let i = 0; i < 2; i++) {
    const { text, isCut } = await model.reply(request());
    assert.deepEqual([text, isCut], ["a", true]);
  }
});

test("a server that tells no tokens is taken to have used one for three bytes", async (t) => {
  const { model } = await stage(t, [whole({ content: "abc" }, { usage: undefined })]);
  const { usage } = await model.reply(request());
  assert.equal(usage.tokensOut, Math.ceil(JSON.stringify(["abc", []]).length / 3));
  assert.ok(usage.tokensIn > 10, `${usage.tokensIn}`);
});

test("the limit of a reply has the name that its server knows", async (t) => {
  const { provider, model } = await stage(
    t, [whole({ content: "a" })], { limitName: "max_completion_tokens", stream: false },
  );
  await model.reply(request());
  const { body } = provider.asked[0]!;
  assert.equal(body["max_completion_tokens"], 100);
  assert.equal(body["max_tokens"], undefined);
  assert.equal(body["stream"], undefined);
});

// ── failures ─────────────────────────────────────────────────────────────────────────────────────

test("429 waits as long as Retry-After says, 5xx longer each time", async (t) => {
  const { provider, model, pauses } = await stage(t, [
    status(429, { error: { message: "slow down" } }, { "retry-after": "7" }),
    status(503, "upstream"), status(500, ""), whole({ content: "ok" }),
  ]);
  const shown: string[] = [];
  const { text } = await model.reply(request(), { onText: (piece) => void shown.push(piece) });
  assert.equal(text, "ok");
  assert.equal(provider.asked.length, 4);
  assert.equal(pauses[0], 7000);
  assert.ok(pauses[1]! > 1000 && pauses[1]! <= 2000, `${pauses[1]}`);
  assert.ok(pauses[2]! > 2000 && pauses[2]! <= 4000, `${pauses[2]}`);
  assert.match(shown[0]!, /^\n\[m answered 429: slow down; asking again\]\n$/);
});

test("Retry-After may be a date", async (t) => {
  const in9s = new Date(nodeHost().clock.wall() + 9000).toUTCString();
  const { model, pauses } = await stage(t, [
    status(429, {}, { "retry-after": in9s }), whole({ content: "ok" }),
  ]);
  await model.reply(request());
  assert.ok(pauses[0]! > 5000 && pauses[0]! <= 9000, `${pauses[0]}`);
});

test("it gives up in words: after some tries, or when the pause is too long", async (t) => {
  const busy = await stage(t, [status(529, { error: "overloaded" })], { tries: 3 });
  const spent = await failure(busy.model);
  assert.equal(spent.code, "BUSY");
  assert.equal(spent.message, "m answered 529: overloaded (after 3 tries)");
  assert.equal(busy.provider.asked.length, 3);
  const hour = await stage(t, [status(429, {}, { "retry-after": "3600" })]);
  const long = await failure(hour.model);
  assert.match(long.message, /^m answered 429: \{\}; it asks for a pause of 3600 s$/);
  assert.equal(hour.provider.asked.length, 1);
});

test("what would be refused again is not asked again, and the key is in no error", async (t) => {
  for (const [code, body, words] of [
    [401, { error: { message: "Incorrect API key: sk-secret" } }, /401: Incorrect API key: …$/],
    [404, { error: { message: "no model m" } }, /404: no model m$/],
    [400, "<html>bad</html>", /400: <html>bad<\/html>$/],
    [429, { error: { message: "pay", code: "insufficient_quota" } }, /429: pay$/],
  ] as const) {
    const { provider, model } = await stage(t, [status(code, body)]);
    const error = await failure(model);
    assert.equal(error.code, "REFUSED");
    assert.match(error.message, words);
    assert.equal(provider.asked.length, 1);
  }
});

test("a redirect is refused: the conversation goes to one server only", async (t) => {
  const other = await Provider.start(whole({ content: "mine now" }));
  t.after(() => other.close());
  const to = { location: `${other.baseUrl}/chat/completions` };
  const { model } = await stage(t, [status(307, "", to)], { tries: 1 });
  assert.equal((await failure(model)).code, "UNREACHABLE");
  assert.equal(other.asked.length, 0);
});

test("a provider that is not there, or that resets, is asked again, and named", async (t) => {
  const gone = openAiCompatible({ baseUrl: "http://127.0.0.1:1/v1", model: "m", tries: 1 });
  assert.match((await failure(gone)).message, /Cannot ask m at http:\/\/127.0.0.1:1\/v1: /);
  const { model, provider } = await stage(t, [reset(), whole({ content: "ok" })]);
  assert.equal((await model.reply(request())).text, "ok");
  assert.equal(provider.asked.length, 2);
});

test("a stream that breaks off is asked for again from its beginning", async (t) => {
  const { model } = await stage(t, [
    reset(delta({ content: "half" })), pieces(delta({ content: "half" })),
    pieces(delta({ content: "all" }), DONE),
  ]);
  const shown: string[] = [];
  const { text } = await model.reply(request(), { onText: (piece) => void shown.push(piece) });
  assert.equal(text, "all");
  assert.match(shown.join(""), /^half\n\[.*\]\nhalf\n\[.*broke off; asking again\]\nall$/);
});

test("a provider that says nothing, or never ends, is left", async (t) => {
  const drip = (response: Parameters<Script[0]>[0]): void => {
    response.setHeader("content-type", "text/event-stream");
    const tick = setInterval(() => void response.write(": still here\n\n"), 5);
    response.on("close", () => clearInterval(tick));
  };
  const own = { host: nodeHost(), tries: 1 };
  const silent = await stage(t, [hang], { ...own, idleMs: 40 });
  const error = await failure(silent.model);
  assert.equal(error.code, "TIMEOUT");
  assert.match(error.message, /it says nothing within 0.04 s/);
  const endless = await stage(t, [drip], { ...own, idleMs: 2000, totalMs: 80 });
  assert.match((await failure(endless.model)).message, /it is not done within 0.08 s/);
});

test("a job that is cancelled stops asking, in a call and in a pause", async (t) => {
  for (const script of [[hang], [status(503, "")]] as Script[]) {
    const { model } = await stage(t, script, { host: nodeHost() });
    const stop = new AbortController();
    const asked = model.reply(request(), { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("cancelled")), 30);
    await assert.rejects(asked, { message: "cancelled" });
  }
});

test("a call leaves no timer behind, in the end and when it is cancelled", async (t) => {
  const { clock, random } = nodeHost();
  const live = new Set<object>();
  const timers = {
    soon: setImmediate,
    after: (ms: number, _fn: () => void) => {
      const timer = { cancel: () => void live.delete(timer) };
      live.add(timer);
      if (ms === 7000) queueMicrotask(() => stop.abort(new Error("cancelled")));
      return timer;
    },
  };
  const stop = new AbortController();
  const busy = status(429, "", { "retry-after": "7" });
  const { model } = await stage(t, [whole({ content: "a" }), busy], {
    host: { clock, random, timers },
  });
  await model.reply(request());
  assert.equal(live.size, 0);
  await assert.rejects(model.reply(request(), { signal: stop.signal }), { message: "cancelled" });
  assert.equal(live.size, 0);
});

const MANY = "x".repeat(64 * 1024);

test("replies of 10 MB are refused, whole, in pieces, in one event and in one call", async (t) => {
  const chunk = delta({ content: MANY });
  const call = { index: 0, function: { name: "f", arguments: MANY } };
  const ten = (text: string): string[] => Array<string>(160).fill(text);
  for (const script of [
    whole({ content: MANY.repeat(160) }),
    pieces(...ten(chunk), DONE),
    pieces("data: ", ...ten(MANY)),
    pieces(...ten(`data: ${MANY}\n`)),
    pieces(...ten(delta({ tool_calls: [call] })), DONE),
  ]) {
    const { provider, model } = await stage(t, [script]);
    const error = await failure(model);
    assert.equal(error.code, "TOO_LONG");
    assert.match(error.message, new RegExp(`more than ${MAX_REPLY_BYTES} bytes`));
    assert.equal(provider.asked.length, 1, "asking again would cost the same again");
  }
});

test("nonsense is an error in words, asked for again a bounded number of times", async (t) => {
  for (const [script, words] of [
    [whole({}, { choices: "?" }), /there is no choice in it/],
    [status(200, "<html>502</html>"), /it is no JSON object: <html>502<\/html>/],
    [status(200, "[1"), /it is no JSON object: \[1/],
    [status(200, "null"), /it is no JSON object: null/],
    [pieces(event({ error: { message: "engine lost" } })), /it says: engine lost/],
    [pieces(event('{"choices": [{"del')), /it is no JSON object/],
    [pieces(""), /it broke off/],
    [pieces(DONE), /there is no choice in it/],
    [pieces(delta({ tool_calls: [{ index: 1e6 }] })), /a call of a tool has the index 1000000/],
    [pieces(delta({ tool_calls: [{ index: -1 }] })), /has the index -1/],
    [pieces(delta({ tool_calls: [null, { index: "x" }] })), /has the index x/],
  ] as const) {
    const { provider, model } = await stage(t, [script], { tries: 2 });
    const error = await failure(model);
    assert.equal(error.code, "BROKEN");
    assert.match(error.message, words);
    assert.match(error.message, /\(after 2 tries\)$/);
    assert.equal(provider.asked.length, 2);
  }
});

test("openAiCompatible() refuses options that cannot work", () => {
  const wrong = (fields: object, words: RegExp): void => {
    const options = { baseUrl: "http://x/v1", model: "m", ...fields };
    assert.throws(() => openAiCompatible(options), { name: "TypeError", message: words });
  };
  wrong({ baseUrl: "x" }, /baseUrl must be an http or https address, found "x"/);
  wrong({ baseUrl: "file:///etc" }, /http or https/);
  wrong({ baseUrl: "http://me@x" }, /takes no user/);
  wrong({ model: "" }, /it has no name/);
  wrong({ price: { in: -1, out: 1 } }, /a price must be 0 or more, found -1/);
});

// ── the script ───────────────────────────────────────────────────────────────────────────────────

const SCRIPT = [
  "# two researchers and a planner",
  '{"agent": "plan", "turn": 1, "text": "first", "in": 10, "out": 5}',
  "",
  '{"agent": "plan", "calls": [{"tool": "f", "arguments": {"a": 1}}, {"tool": "g"}]}',
  '{"agent": "find", "contains": ["tides", "deep"], "text": "deep tides"}',
  '{"agent": "find", "contains": "tides", "text": "Tides  come twice."}',
  '{"agent": "half", "calls": [{"tool": "f", "arguments": "{\\"a\\": "}]}',
].join("\n");

test("scripted() finds a line by the call alone, so that any process may ask", async () => {
  const model = scripted(SCRIPT, { price: { in: 2, out: 4 } });
  const say = (agent: string, turn: number, ...texts: string[]): ReturnType<Model["reply"]> =>
    model.reply(request({
      agent, turn, messages: texts.map((text) => ({ role: "user" as const, text })),
    }));
  const usage = { tokensIn: 10, tokensOut: 5, usdMicros: 40 };
  assert.deepEqual(await say("plan", 1), { text: "first", calls: [], isCut: false, usage });
  assert.deepEqual(await say("plan", 1), { text: "first", calls: [], isCut: false, usage });
  assert.deepEqual((await say("plan", 2)).calls, [
    { id: "call_1", name: "f", arguments: '{"a":1}' },
    { id: "call_2", name: "g", arguments: "{}" },
  ]);
  assert.equal((await say("find", 1, "deeper", "the tides")).text, "deep tides");
  assert.equal((await say("find", 3, "the tides")).text, "Tides  come twice.");
  assert.equal((await say("half", 1)).calls[0]!.arguments, '{"a": ');
});

test("scripted() shows a text in pieces, and takes the time that its line says", async () => {
  const slept: number[] = [];
  const timers = {
    soon: (fn: () => void) => fn(),
    after: (ms: number, fn: () => void) => (slept.push(ms), fn(), { cancel: () => undefined }),
  };
  const model = scripted('{"text": "one two  three", "ms": 90}', { timers });
  const shown: string[] = [];
  await model.reply(request(), { onText: (piece) => void shown.push(piece) });
  assert.deepEqual(shown, ["one ", "two  ", "three"]);
  assert.deepEqual(slept, [30, 30, 30]);
});

test("a call that is not in the script is an error in words", async () => {
  const model = scripted(SCRIPT);
  const messages: Message[] = [{ role: "user", text: "the\nwinds" }];
  const absent = await failure(model, request({ agent: "find", turn: 2, messages }));
  assert.equal(absent.code, "UNSCRIPTED");
  assert.equal(absent.isRetryable, false);
  assert.equal(
    absent.message,
    'Cannot play the script: it has no line for reply 2 of agent "find" ' +
      'to "the winds"; line 5, 6 is of this agent, and does not fit',
  );
  assert.match((await failure(model, request({ agent: "pla" }))).message,
    /none is of this agent \(did you mean plan\?\)|none is of this agent.*plan/);
});

test("scripted() refuses a line that it cannot read, with its number", () => {
  for (const [line, words] of [
    ["{", /line 2 is no JSON: \{/],
    ["[]", /line 2 has no text and no calls/],
    ["null", /line 2 is no object/],
    ['{"text": 1}', /line 2 has a "text" that is no string/],
    ['{"txt": "a"}', /line 2 has the key "txt".*text/],
    ['{"agent": "a"}', /line 2 has no text and no calls/],
    ['{"text": "a", "contains": [1]}', /line 2 has a "contains" that is no text/],
    ['{"calls": {}}', /line 2 has "calls" that are no list/],
    ['{"calls": [{}]}', /line 2 has a call 1 without a tool/],
  ] as const) {
    assert.throws(() => scripted(`# head\n${line}`), { name: "TypeError", message: words });
  }
});

// ── the choice ───────────────────────────────────────────────────────────────────────────────────

test("chooseModel() takes the script, unless the environment names a provider", async (t) => {
  const storage = { readFile: async () => Buffer.from('{"text": "recorded"}') };
  const choose = (env: Record<string, string>): Promise<Model> =>
    chooseModel({ script: "s.jsonl", env, storage });
  assert.equal((await (await choose({})).reply(request())).text, "recorded");
  assert.equal((await choose({ OPENAI_API_KEY: "k" })).name, "gpt-4.1-mini");
  const provider = await Provider.start(whole({ content: "live" }));
  t.after(() => provider.close());
  const live = await choose({
    OPENAI_BASE_URL: provider.baseUrl, OPENAI_MODEL: "local", OPENAI_PRICE: "0.5,2",
  });
  assert.deepEqual(live.price, { in: 0.5, out: 2 });
  const { text, usage } = await live.reply(request());
  assert.deepEqual([live.name, text, usage.usdMicros], ["local", "live", 12 * 0.5 + 7 * 2]);
  assert.equal(provider.asked[0]!.headers.authorization, undefined);
  await assert.rejects(choose({ OPENAI_API_KEY: "k", OPENAI_PRICE: "cheap" }), {
    name: "TypeError", message: /OPENAI_PRICE: it must be "IN,OUT".*found "cheap"/,
  });
});
