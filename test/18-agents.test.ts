/**
 * Chapter 18: the loop of an agent: replies and calls as steps of a job, brakes, mistakes of the
 * model, people, and a crash at any place.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  agent, AgentStopped, MAX_BAD_REPLIES, MAX_RESULT_BYTES, scripted, tool,
  type AgentOptions, type Answer, type Model, type ModelReply, type Schema, type Tool,
} from "#agent";
import { callOf, Crash, FakeRun, modelOf, Waits } from "./18-agents.support.ts";

const object = (properties: Record<string, Schema>, more: Partial<Schema> = {}): Schema =>
  ({ type: "object", properties, required: Object.keys(properties), ...more });
const TEXT: Schema = { type: "string" };

/** A tool that keeps what it was called with. */
function recorder(name: string, fields: Partial<Tool> = {}): Tool & { calls: unknown[] } {
  const calls: unknown[] = [];
  const made = tool({
    name, description: `Does ${name}.`, parameters: object({ path: TEXT }),
    run: (args) => void calls.push(args), ...fields,
  });
  return { ...made, calls };
}

async function stopped(work: Promise<unknown>): Promise<AgentStopped> {
  const error: unknown = await work.then(() => undefined, (why) => why);
  assert.ok(error instanceof AgentStopped, String(error));
  return error;
}

/** The texts that the model read at its last call. */
function lastRead(model: ReturnType<typeof modelOf>, count = 1): string[] {
  return model.requests.at(-1)!.messages.slice(-count).map(({ text }) => text);
}

// ── the loop ─────────────────────────────────────────────────────────────────────────────────────

test("an agent replies, calls tools, reads their results, and answers", async () => {
  const read = recorder("read", { effect: "read", run: () => ({ lines: 3 }) });
  const model = modelOf(
    {
      text: "I look.",
      calls: [callOf("read", { path: "a" }, "x1"), callOf("read", { path: "b" }, "x2")],
    },
    { text: "Six lines." },
  );
  const run = new FakeRun();
  const answer = await agent({ model, name: "count", system: "S", tools: [read] })
    .run(run.attempt(), "How many?");
  assert.deepEqual(answer, {
    answer: "Six lines.", turns: 2, usage: { tokensIn: 200, tokensOut: 20, usdMicros: 400 },
  });
  assert.deepEqual(run.began, [
    "count.1#1", "count.1.1.read#1", "count.1.2.read#1", "count.2#1",
  ]);
  assert.deepEqual(model.requests[1]!.messages, [
    { role: "user", text: "How many?" },
    { role: "assistant", text: "I look.", calls: model.requests[1]!.messages[1]!.role ===
      "assistant" ? model.requests[1]!.messages[1]!.calls : [] },
    { role: "tool", call: "x1", text: '{"lines":3}' },
    { role: "tool", call: "x2", text: '{"lines":3}' },
  ]);
  assert.deepEqual(model.requests[0]!.tools, [
    { name: "read", description: "Does read.", parameters: read.parameters },
  ]);
});

test("a reply is an idempotent step that reserves its worst case; a tool's effect " +
  "is its own", async () => {
  const model = modelOf(
    { calls: [callOf("send", { path: "a" }), callOf("look", { path: "a" })] }, { text: "done" },
  );
  const run = new FakeRun();
  const tools = [recorder("send"), recorder("look", { effect: "read" })];
  await agent({ model, tools, maxTokens: 500 }).run(run.attempt(), "Go.");
  const options = (key: string): unknown => run.journal.get(key)?.options;
  const reserve = { tokens: 0, usdMicros: 0 };
  assert.deepEqual(options("agent.1.1.send#1"), { effect: "once", reserve });
  assert.deepEqual(options("agent.1.2.look#1"), { effect: "read", reserve });
  const first = run.journal.get("agent.1#1")!.options!;
  assert.equal(first.effect, "idempotent");
  const { tokens = 0, usdMicros } = first.reserve!;
  assert.ok(tokens > 500 + 50 && tokens < 1500, `${tokens}`);
  assert.equal(usdMicros, tokens - 500 + 500 * 10);
  // What the provider counted before is known; only what is new is guessed.
  assert.ok(run.journal.get("agent.2#1")!.options!.reserve!.tokens! < 110 + 500 + 150);
  assert.deepEqual(run.usage[0], { model: "test", tokensIn: 100, tokensOut: 10, usdMicros: 200 });
});

test("people see a reply as it comes, and each reply ends its line", async () => {
  const model = scripted(['{"turn": 1, "text": "I look.", "calls": [{"tool": "look"}]}',
    '{"turn": 2, "text": "Two  words"}'].join("\n"));
  const look = recorder("look", { parameters: object({}) });
  const run = new FakeRun();
  await agent({ model, tools: [look] }).run(run.attempt(), "Go.");
  assert.deepEqual(run.output, ["I ", "look.", "\n", "Two  ", "words", "\n"]);
});

test("calls that only look run side by side; a call that changes something waits", async () => {
  const trace: string[] = [];
  const tools = ["look", "write"].map((name) => recorder(name, {
    effect: name === "look" ? "read" : "idempotent",
    run: async ({ path }: { path: string }) => {
      trace.push(`+${path}`);
      for (let i = 0; i < 5; i++) await Promise.resolve();
      trace.push(`-${path}`);
    },
  } as Partial<Tool>));
  const calls = [..."abcd"].map((path) => callOf(path === "c" ? "write" : "look", { path }, path));
  const model = modelOf({ calls }, { text: "done" });
  await agent({ model, tools }).run(new FakeRun().attempt(), "Go.");
  assert.equal(trace.join(" "), "+a +b -a -b +c -c +d -d");
});

test("a tool may be a job of the run; its output is the result, its failure is told", async () => {
  const dig = tool({
    name: "dig", description: "Digs.", parameters: object({ topic: TEXT }),
    job: ({ topic }: { topic: string }) => ({ id: `dig-${topic}`, command: ["dig", topic] }),
  });
  const model = modelOf(
    { calls: [callOf("dig", { topic: "a" }), callOf("dig", { topic: "b" })] }, { text: "done" },
  );
  const run = new FakeRun();
  run.child = (id) => id === "dig-a"
    ? { result: { found: 1 } } : { status: "FAILED", failure: "exit code 3" };
  await agent({ model, name: "boss", tools: [dig] }).run(run.attempt(), "Dig.");
  assert.deepEqual(lastRead(model, 2), [
    '{"found":1}', "Error: the job of dig is FAILED: exit code 3",
  ]);
  assert.deepEqual([...run.spawned], [
    ["boss.1.1.dig", [{ id: "dig-a", command: ["dig", "a"] }]],
    ["boss.1.2.dig", [{ id: "dig-b", command: ["dig", "b"] }]],
  ]);
});

test("an answer may have a form; a model that does not keep to it is told", async () => {
  const answer = object({ topics: { type: "array", items: TEXT, minItems: 1 } });
  const model = modelOf(
    { text: "Tides." },
    { calls: [callOf("answer", '{"topics": [')] },
    { calls: [callOf("answer", { topics: ["tides"] })] },
  );
  const plan = agent<{ topics: string[] }>({ model, answer });
  assert.deepEqual((await plan.run(new FakeRun().attempt(), "Plan.")).answer, {
    topics: ["tides"],
  });
  assert.match(lastRead(model)[0]!, /^Error: your answer is no JSON: /);
  assert.equal(model.requests[1]!.messages.at(-1)!.text,
    'Error: call the tool "answer" when you know the answer');
  assert.deepEqual(model.requests[0]!.tools[0]!.parameters, answer);
  const look = recorder("look", { effect: "read" });
  const hasty = modelOf(
    { calls: [callOf("look", { path: "a" }), callOf("answer", { topics: ["a"] })] },
    { calls: [callOf("answer", { topics: [] })] },
    { calls: [callOf("answer", { topics: ["b"] })] },
  );
  const careful = agent({ model: hasty, answer, tools: [look] });
  assert.deepEqual((await careful.run(new FakeRun().attempt(), "Plan.")).answer, { topics: ["b"] });
  assert.deepEqual(look.calls, []);
  assert.match(hasty.requests[1]!.messages.at(-1)!.text, /call "answer" alone/);
  assert.match(lastRead(hasty)[0]!, /of your answer, "topics" has a length of 0, and must be at/);
});

// ── a crash ──────────────────────────────────────────────────────────────────────────────────────

/** Five replies with a call each, then an answer. */
function worker(): { model: ReturnType<typeof modelOf>; note: ReturnType<typeof recorder> } {
  const reply = ({ turn }: { turn: number }): Partial<ModelReply> =>
    turn === 6 ? { text: "done" } : { calls: [callOf("note", { path: `p${turn}` })] };
  return { model: modelOf(reply), note: recorder("note") };
}

test("killed at any step, an agent goes on behind it: no finished call is made again", async () => {
  for (let at = 1; at <= 11; at++) {
    for (const when of ["before", "after"]) {
      const { model, note } = worker();
      const run = new FakeRun();
      const work = (): Promise<{ answer: string }> =>
        agent({ model, tools: [note] }).run(run.attempt(), "Go.");
      run.beforeEnd = () => {
        // After: the call was made, and its result is lost. Before: the step before it is done.
        const begun = when === "after" ? run.began.length : run.began.length + 1;
        if (begun === at) throw new Crash();
      };
      if (when === "after" || at > 1) await assert.rejects(work(), Crash);
      run.beforeEnd = () => undefined;
      assert.equal((await work()).answer, "done");
      const again = run.began.length - 11;
      assert.ok(again <= 1, `${at} ${when}: ${again} calls were made again`);
      assert.equal(model.requests.length + note.calls.length, 11 + again);
    }
  }
});

test("an agent that has ended says the same again, and costs nothing", async () => {
  const { model, note } = worker();
  const run = new FakeRun();
  const plan = agent({ model, tools: [note] });
  const first = await plan.run(run.attempt(), "Go.");
  assert.deepEqual(await plan.run(run.attempt(), "Go."), first);
  assert.equal(model.requests.length, 6);
});

test("a tool that failed has failed in the next attempt, too: its error is a result", async () => {
  let isBroken = true;
  const flaky = recorder("flaky", {
    run: () => {
      if (isBroken) throw new Error("disk full");
      return "written";
    },
  });
  const model = modelOf({ calls: [callOf("flaky", { path: "a" })] }, ({ messages }) => ({
    text: messages.at(-1)!.text,
  }));
  const run = new FakeRun();
  run.beforeEnd = (name) => {
    if (name === "agent.2#1") throw new Crash();
  };
  const plan = agent({ model, tools: [flaky] });
  await assert.rejects(plan.run(run.attempt(), "Go."), Crash);
  run.beforeEnd = () => undefined;
  isBroken = false;
  assert.equal((await plan.run(run.attempt(), "Go.")).answer, "Error: disk full");
});

// ── brakes ───────────────────────────────────────────────────────────────────────────────────────

const LOOP: Partial<ModelReply> = { text: "hm", calls: [callOf("look", { path: "a" })] };

test("the number of replies is a brake", async () => {
  const model = modelOf(LOOP);
  const plan = agent({ model, tools: [recorder("look")], budget: { turns: 3 } });
  const { reason, turns, usage, text, message } =
    await stopped(plan.run(new FakeRun().attempt(), "Go."));
  assert.deepEqual([reason, turns, usage.tokensIn, text], ["turns", 3, 300, "hm"]);
  assert.equal(message, "Cannot go on with agent: no answer after 3 replies");
  assert.equal(model.requests.length, 3);
});

/** A model that uses all that it may: the worst that a budget can meet. */
function greedy(price: {
  in: number;
  out: number;
}): Model & { spent: { tokens: number; micros: number } } {
  const spent = { tokens: 0, micros: 0 };
  let before = 0;
  return {
    name: "greedy",
    price,
    spent,
    reply: async ({ messages, system, tools, maxTokens }) => {
      const tokensIn = before || Buffer.byteLength(JSON.stringify([system, messages, tools]));
      const usdMicros = Math.ceil(tokensIn * price.in + maxTokens * price.out);
      spent.tokens += tokensIn + maxTokens;
      spent.micros += usdMicros;
      before = tokensIn + maxTokens + 4;
      return {
        ...LOOP,
        text: "",
        calls: LOOP.calls!,
        isCut: false,
        usage: { tokensIn, tokensOut: maxTokens, usdMicros },
      };
    },
  };
}

test("tokens and dollars are never passed, also by a model that uses all it may", async () => {
  const look = recorder("look", { run: () => "" });
  for (let limit = 50; limit < 12_000; limit += 997) {
    const model = greedy({ in: 0.4, out: 1.6 });
    const by = async (budget: AgentOptions["budget"] & object): Promise<string> => {
      const plan = agent({ model, tools: [look], budget, maxTokens: 400 });
      return (await stopped(plan.run(new FakeRun().attempt(), "Go."))).reason;
    };
    assert.equal(await by({ tokens: limit }), "tokens");
    assert.ok(model.spent.tokens <= limit, `${model.spent.tokens} of ${limit} tokens`);
    // Less than the least reply is left over, the frames of messages included.
    if (limit > 1000) {
      assert.ok(model.spent.tokens > limit * 0.5, `${model.spent.tokens} of ${limit}`);
    }
    model.spent.micros = 0;
    assert.equal(await by({ usd: limit / 1e6 }), "usd");
    assert.ok(model.spent.micros <= limit, `${model.spent.micros} of ${limit} micros`);
  }
});

test("a brake says what is spent, and of what", async () => {
  const plan = (budget: object): Promise<AgentStopped> => stopped(
    agent({ model: modelOf(LOOP), tools: [recorder("look")], budget, maxTokens: 100 })
      .run(new FakeRun().attempt(), "Go."));
  assert.match((await plan({ tokens: 600 })).message,
    /^Cannot go on with agent: \d+ of 600 tokens are spent, and the next reply may cost more than/);
  assert.match((await plan({ usd: 0.002 })).message, /\$0.00\d\d of \$0.002 are spent/);
});

// ── mistakes of the model ────────────────────────────────────────────────────────────────────────

test("an unknown tool, half a JSON and arguments that do not fit go back in words", async () => {
  const look = recorder("look", { effect: "read" });
  for (const [call, words] of [
    [callOf("lok", {}), 'Error: there is no tool "lok" (did you mean "look"?): there is look'],
    [callOf("look", '{"path": "a'), /^Error: the arguments of look are no JSON: /],
    [callOf("look", "null"), "Error: the value must be an object, found null (arguments of look)"],
    [callOf("look", ""), 'Error: "path" is missing (arguments of look)'],
    [callOf("look", { path: 3 }), 'Error: "path" must be a string, found 3 (arguments of look)'],
    [callOf("look", { path: "a", deep: 1 }), /^Error: "deep" is not known: there is path/],
    [callOf("look", { path: "a", ["x".repeat(9000)]: 1 }), /^Error: "xxx.{400,500}…$/],
  ] as const) {
    const model = modelOf({ calls: [call] }, { text: "sorry" });
    await agent({ model, tools: [look] }).run(new FakeRun().attempt(), "Go.");
    const [told] = lastRead(model);
    if (typeof words === "string") assert.equal(told, words);
    else assert.match(told!, words);
  }
  assert.deepEqual(look.calls, []);
});

test(`${MAX_BAD_REPLIES} bad replies in a row are the end; a good one between ` +
  `them is not`, async () => {
  const look = recorder("look", { effect: "read" });
  const bad = { calls: [callOf("no", {})] };
  const hopeless = modelOf({}, { text: " \n" }, bad);
  const { reason, message, turns } = await stopped(
    agent({ model: hopeless, tools: [look] }).run(new FakeRun().attempt(), "Go."));
  assert.deepEqual([reason, turns], ["replies", 3]);
  assert.match(
    message,
    /3 replies in a row cannot be used; the last: Error: there is no tool "no"/,
  );
  assert.equal(hopeless.requests[1]!.messages.at(-1)!.text, "Error: your reply was empty");
  const good = { calls: [callOf("look", { path: "a" }), callOf("no", {})] };
  const model = modelOf(bad, bad, good, bad, bad, { text: "done" });
  assert.equal(
    (await agent({ model, tools: [look] }).run(new FakeRun().attempt(), "Go.")).turns,
    6,
  );
});

test("a reply that was cut off is no answer, and its calls are not made", async () => {
  const look = recorder("look");
  const half: Partial<ModelReply> = { isCut: true, calls: [callOf("look", { path: "a" })] };
  const model = modelOf({ text: "The answer is", isCut: true }, half, { text: "Six." });
  const { answer } = await agent({ model, tools: [look] }).run(new FakeRun().attempt(), "Go.");
  assert.equal(answer, "Six.");
  assert.deepEqual(look.calls, []);
  assert.deepEqual(lastRead(model), ["Error: your reply was cut off after 10 tokens; be shorter"]);
});

test("a result of any size and kind is a text of a bounded size", async () => {
  for (const [result, expected] of [
    ["plain", "plain"], [undefined, "done"], [null, "null"], [[1], "[1]"],
    ["ä".repeat(MAX_RESULT_BYTES), /^ä+\n\[65536 bytes; the rest is left out\]$/],
  ] as const) {
    const look = recorder("look", { run: () => result });
    const model = modelOf({ calls: [callOf("look", { path: "a" })] }, { text: "done" });
    await agent({ model, tools: [look] }).run(new FakeRun().attempt(), "Go.");
    const [text] = lastRead(model);
    if (typeof expected === "string") assert.equal(text, expected);
    else assert.match(text!, expected);
    assert.ok(Buffer.byteLength(text!) <= MAX_RESULT_BYTES);
  }
});

test("the loop costs less than 5 ms a turn", async () => {
  const look = recorder("look", { effect: "read", run: () => "result ".repeat(100) });
  const calls = ["a", "b"].map((path) => ({ tool: "look", arguments: { path } }));
  const model = scripted(`{"turn": 100, "text": "done"}\n${JSON.stringify({ calls })}`);
  const plan = agent({ model, tools: [look], budget: { turns: 100 } });
  const before = process.cpuUsage();
  await plan.run(new FakeRun().attempt(), "Go.");
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000 / 100;
  assert.ok(ms < 5, `${ms} ms of processor time`);
});

// ── people ───────────────────────────────────────────────────────────────────────────────────────

const yes = (fields: Answer["fields"] = {}): Answer =>
  ({ outcome: "approved", approved: true, by: "ada", comment: "", at: 1, fields });

function deployer(): {
  run: FakeRun; deploy: ReturnType<typeof recorder>; model: ReturnType<typeof modelOf>;
  work: () => Promise<unknown>;
} {
  const deploy = recorder("deploy", {
    dangerous: { approvers: ["ada"] }, run: (args) => (deploy.calls.push(args), "deployed"),
  });
  const model = modelOf({ calls: [callOf("deploy", { path: "prod" })] }, { text: "done" });
  const run = new FakeRun();
  return {
    run,
    deploy,
    model,
    work: () => agent({ model, tools: [deploy] }).run(run.attempt(), "Go."),
  };
}

test("a dangerous tool waits for a person; nothing is paid again after the answer", async () => {
  const { run, deploy, model, work } = deployer();
  await assert.rejects(work(), Waits);
  await assert.rejects(work(), Waits);
  assert.deepEqual(deploy.calls, []);
  assert.deepEqual(run.asked.get("agent.1.1.deploy"), {
    approvers: ["ada"], message: 'agent wants to call deploy: {"path":"prod"}',
    form: [{ name: "arguments", label: "Arguments, as JSON", default: '{"path":"prod"}' }],
  });
  run.answers.set("agent.1.1.deploy", yes({ arguments: '{"path":"prod"}' }));
  await work();
  assert.deepEqual(deploy.calls, [{ path: "prod" }]);
  assert.deepEqual([lastRead(model)[0], model.requests.length], ["deployed", 2]);
});

test("a person may change the arguments, and the model is told", async () => {
  const { run, deploy, model, work } = deployer();
  run.answers.set("agent.1.1.deploy", yes({ arguments: '{"path": "stage"}' }));
  await work();
  assert.deepEqual(deploy.calls, [{ path: "stage" }]);
  assert.equal(lastRead(model)[0],
    'A person changed the arguments to {"path":"stage"}. The result:\ndeployed');
});

test("arguments of a person that do not fit are asked for again, three times in all", async () => {
  const { run, deploy, model, work } = deployer();
  run.answers.set("agent.1.1.deploy", yes({ arguments: "stage" }));
  await assert.rejects(work(), Waits);
  assert.match(run.asked.get("agent.1.1.deploy.2")!.message,
    /\(what ada filled in cannot be used: the arguments of deploy are no JSON: /);
  run.answers.set("agent.1.1.deploy.2", yes({ arguments: '{"path": 1}' }));
  run.answers.set("agent.1.1.deploy.3", yes({ arguments: "{}" }));
  await work();
  assert.deepEqual(deploy.calls, []);
  assert.match(
    lastRead(model)[0]!,
    /^The call was not made: what ada filled in cannot be used: "path"/,
  );
});

test("a person's no is a result that the model reads", async () => {
  for (const [answer, words] of [
    [{ ...yes(), outcome: "rejected", approved: false, comment: "not on a Friday" },
      "The call was refused by ada: not on a Friday"],
    [{ ...yes(), outcome: "skipped", approved: false }, "The call was passed over"],
  ] as [Answer, string][]) {
    const { run, deploy, model, work } = deployer();
    run.answers.set("agent.1.1.deploy", answer);
    await work();
    assert.deepEqual([deploy.calls, lastRead(model)[0]], [[], words]);
  }
});

test("a call that is longer than a field of a form can be refused, and not changed", async () => {
  const { run, work, model } = deployer();
  model.reply = async (request) => (model.requests.push(request), {
    text: "", isCut: false, usage: { tokensIn: 1, tokensOut: 1, usdMicros: 1 },
    calls: [callOf("deploy", { path: "x".repeat(20_000) })],
  });
  await assert.rejects(work(), Waits);
  const { message, form } = run.asked.get("agent.1.1.deploy")!;
  assert.equal(form, undefined);
  assert.ok(message.length < 8400 && message.endsWith("…"), `${message.length}`);
});

// ── several agents ───────────────────────────────────────────────────────────────────────────────

test("several agents of one job have names of their own; one name twice at " +
  "once is refused", async () => {
  const model = scripted('{"text": "done"}');
  const run = new FakeRun();
  const job = run.attempt();
  const plan = agent({ model, name: "r" });
  const both = await Promise.allSettled([plan.run(job, "a"), plan.run(job, "b")]);
  assert.deepEqual(both.map(({ status }) => status), ["fulfilled", "rejected"]);
  assert.match(
    String((both[1] as PromiseRejectedResult).reason),
    /"r": it runs in this job already/,
  );
  await Promise.all(["r1", "r2"].map((name) => plan.run(job, "c", { name })));
  await plan.run(job, "d");
  assert.deepEqual(run.began, ["r.1#1", "r1.1#1", "r2.1#1", "r.1#2"]);
});

test("a job that is cancelled ends the loop with the reason, also in the middle " +
  "of a tool", async () => {
  const run = new FakeRun();
  const job = run.attempt();
  const look = recorder("look", {
    run: (_args, { signal }) => {
      job.stop.abort(new Error("cancelled"));
      signal.throwIfAborted();
    },
  });
  const model = modelOf(LOOP);
  await assert.rejects(agent({ model, tools: [look] }).run(job, "Go."), { message: "cancelled" });
  assert.equal(run.journal.has("agent.1.1.look#1"), false);
});

// ── definitions ──────────────────────────────────────────────────────────────────────────────────

test("tool() and agent() refuse what cannot work", () => {
  const define = (fields: object): (() => unknown) => () => tool({
    name: "a", description: "", parameters: object({}), run: () => 1, ...fields,
  });
  const options = (fields: object): (() => unknown) => () =>
    agent({ model: modelOf(), ...fields });
  const nested = object({
    a: { type: "array", items: { type: "string", pattern: "x" } as Schema },
  });
  for (const [define_, words] of [
    [define({ name: "a b" }), /Cannot use tool "a b": a name has up to 64 letters/],
    [define({ parameters: { type: "string" } }), /its parameters must be of type "object"/],
    [define({ parameters: nested }), /"a\[\]" has "pattern", which is not checked here/],
    [define({ parameters: { type: "object", required: ["b"] } }), /requires "b" and does not/],
    [define({ parameters: object({ a: { type: "text" } as never }) }), /"a" has no type of object/],
    [define({ run: undefined }), /it must have either run or job/],
    [define({ job: () => ({ id: "a" }) }), /it must have either run or job/],
    [options({ model: {} }), /Cannot use agent "agent": it has no model/],
    [options({ tools: [recorder("a"), recorder("a")] }), /it has two tools "a"/],
    [
      options({ answer: object({}), tools: [recorder("answer")] }),
      /tool "answer" takes its answer/,
    ],
    [options({ answer: TEXT }), /of its answer, it is not of type object/],
    [options({ budget: { turns: 0 } }), /turns must be more than 0, found 0/],
    [options({ maxTokens: NaN }), /maxTokens must be more than 0, found NaN/],
    [options({ model: scripted(""), budget: { usd: 1 } }), /in usd needs the price of scripted/],
  ] as const) {
    assert.throws(define_, { name: "TypeError", message: words });
  }
  assert.rejects(agent({ model: modelOf() }).run(new FakeRun().attempt(), "", { name: "a/b" }), {
    name: "TypeError", message: /Cannot use agent "a\/b": a name has up to 40 letters/,
  });
});

test("a schema's words are kept, each with a sentence that names the place", async () => {
  const parameters = object({
    n: { type: "integer", minimum: 1, maximum: 9 },
    kind: { type: "string", enum: ["eu", "us"] },
    tags: { type: "array", items: { type: "string", minLength: 2, maxLength: 3 }, maxItems: 2 },
    more: { type: "object", additionalProperties: true },
    none: { type: "null" },
    yes: { type: "boolean" },
  }, { required: [] });
  const look = recorder("look", { parameters, effect: "read" });
  const told = async (args: unknown): Promise<string> => {
    const model = modelOf({ calls: [callOf("look", args)] }, { text: "x" });
    await agent({ model, tools: [look] }).run(new FakeRun().attempt(), "Go.");
    return lastRead(model)[0]!;
  };
  const good = {
    n: 9,
    kind: "eu",
    tags: ["ab", "äöü"],
    more: { a: { b: 1 } },
    none: null,
    yes: true,
  };
  assert.equal(await told(good), "done");
  for (const [args, words] of [
    [{ n: 0 }, '"n" is 0, and must be at least 1'],
    [{ n: 10 }, '"n" is 10, and must be at most 9'],
    [{ n: 1.5 }, '"n" must be an integer, found 1.5'],
    [{ kind: "asia" }, '"kind" must be one of eu, us, found "asia"'],
    [{ tags: ["ab", "a"] }, '"tags[1]" has a length of 1, and must be at least 2'],
    [{ tags: ["ab", "ab", "ab"] }, '"tags" has a length of 3, and must be at most 2'],
    [{ tags: {} }, '"tags" must be an array, found {}'],
    [{ more: [] }, '"more" must be an object, found []'],
    [{ none: 0 }, '"none" must be a null, found 0'],
    [{ yes: "true" }, '"yes" must be a boolean, found "true"'],
    ['{"__proto__": 1}', '"__proto__" is not known: there is n, kind, tags, more, none, yes'],
  ] as const) assert.equal(await told(args), `Error: ${words} (arguments of look)`);
});
