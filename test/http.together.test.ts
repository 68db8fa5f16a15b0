/** Several answers in one: fresh enough, made once for all, and none without the token. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost, type Host } from "#host";
import { mismatch } from "#rows";
import { scene, type Scene } from "./http.events.support.ts";
import { HttpError, type Asked, type Route, type Shared } from "../src/http/route.ts";
import { SHARED_MS, Together } from "../src/http/together.ts";
import "./leaks.support.ts";

/** Timers that a test lets pass, the address of a question, and routes that count. */
class Stage {
  readonly made: string[] = [];
  readonly together: Together;
  #timers: { readonly at: number; readonly work: () => void }[] = [];
  #now = 0;
  /** Answers wait for it. */
  gate: Promise<unknown> | undefined;
  value = 1;

  constructor() {
    const after = (ms: number, work: () => void): { cancel(): void } => {
      this.#timers.push({ at: this.#now + ms, work });
      return { cancel: () => undefined };
    };
    const host = { ...nodeHost(), timers: { after } } as unknown as Host;
    const run = async ({ query, tell, signal }: Asked): Promise<unknown> => {
      this.made.push("gates");
      tell("x-titan-seq", "1");
      const { value } = this;
      await this.gate;
      signal.throwIfAborted();
      return { value, query: query.size };
    };
    const broken = async (): Promise<never> => {
      throw new HttpError(503, "OVERLOADED", "no room");
    };
    const route = (path: string, rest: Partial<Route> = {}): Route =>
      ({ method: "GET", path: `/api/v1/${path}`, summary: "", answer: {}, run, ...rest });
    this.together = new Together(host, [
      route("gates"), route("runs/{run}"), route("answers"), route("runs", { method: "POST" }),
      route("broken", { run: broken }), ...Array.from({ length: 40 }, (_, at) => route(`r${at}`)),
    ]);
  }

  ask(...names: string[]): Promise<{ answers: any; etag: string; bytes: Buffer }> {
    return this.askUntil(new AbortController().signal, ...names);
  }

  /** `signal`: of the connection of the one who asks. */
  async askUntil(
    signal: AbortSignal, ...names: string[]
  ): Promise<{ answers: any; etag: string; bytes: Buffer }> {
    const query = new URLSearchParams(names.map((name) => ["get", name]));
    const tell = (): never => assert.fail("a header of one of them is none of the whole");
    const asked = { query, tell, signal } as unknown as Asked;
    const { bytes, etag }: Shared = await this.together.answer(asked);
    return { answers: JSON.parse(bytes.toString()), etag, bytes };
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const { work } of this.#timers.filter(({ at }) => at <= this.#now)) work();
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
  }
}

test("an answer is made once for all who ask within a quarter of a second", async () => {
  const stage = new Stage();
  const [first, second] = await Promise.all([stage.ask("gates"), stage.ask("gates")]);
  stage.value = 2;
  stage.pass(SHARED_MS - 1);
  const third = await stage.ask("gates", "gates");
  assert.ok(first.bytes === second.bytes && first.bytes === third.bytes, "the same bytes");
  assert.equal(stage.made.length, 1);
  stage.pass(1);
  const later = await stage.ask("gates");
  assert.deepEqual(later.answers, [{ get: "gates", value: { value: 2, query: 0 } }]);
  assert.notEqual(later.etag, first.etag);
  stage.pass(SHARED_MS);
  assert.equal((await stage.ask("gates")).etag, later.etag, "the same content, the same name");
  assert.equal(stage.made.length, 3);
});

test("nobody gets what was read before a change of theirs", async () => {
  const stage = new Stage();
  let free: () => void = () => undefined;
  stage.gate = new Promise<void>((resolve) => (free = resolve));
  const before = stage.ask("gates");
  stage.value = 2;
  stage.together.forget();
  const after = stage.ask("gates");
  free();
  assert.equal((await before).answers[0].value.value, 1);
  assert.equal((await after).answers[0].value.value, 2);
  stage.pass(SHARED_MS - 1);
  assert.equal((await stage.ask("gates")).answers[0].value.value, 2);
  assert.equal(stage.made.length, 2);
});

test("an answer comes to the others when the one who asked first has gone", async () => {
  const stage = new Stage();
  let free: () => void = () => undefined;
  stage.gate = new Promise<void>((resolve) => (free = resolve));
  const gone = new AbortController();
  const [first, second] = [stage.askUntil(gone.signal, "gates"), stage.ask("gates")];
  gone.abort();
  free();
  await first;
  assert.deepEqual((await second).answers, [{ get: "gates", value: { value: 1, query: 0 } }]);
  assert.equal(stage.made.length, 1);
});

test("an old timer ends no new answer", async () => {
  const stage = new Stage();
  await stage.ask("gates");
  stage.pass(SHARED_MS - 1);
  stage.together.forget();
  await stage.ask("gates");
  stage.pass(1);
  await stage.ask("gates");
  assert.equal(stage.made.length, 2);
});

test("one that fails is an error beside the others", async () => {
  const { answers } = await new Stage().ask("gates", "broken");
  assert.deepEqual(answers, [
    { get: "broken", error: { status: 503, code: "OVERLOADED", message: "no room" } },
    { get: "gates", value: { value: 1, query: 0 } },
  ]);
});

test("names are those of plain answers, and few", async () => {
  const stage = new Stage();
  const many = Array.from({ length: 17 }, (_, at) => `r${at}`);
  for (const names of [[], ["nothing"], ["answers"], ["runs"], ["runs/{run}"], many]) {
    await assert.rejects(stage.ask(...names), { status: 400 }, names.join());
  }
  assert.deepEqual(stage.made, []);
  // Sets of names that nobody asks for again are not kept for long.
  for (let at = 0; at < 40; at++) await stage.ask("gates", `r${at}`);
  assert.equal(stage.made.length, 80);
  await stage.ask("gates", "r39");
  assert.equal(stage.made.length, 80);
  await stage.ask("gates", "r0");
  assert.equal(stage.made.length, 82, "the first of forty is gone");
});

interface Answer {
  readonly status: number;
  readonly etag: string;
  readonly text: string;
  readonly seq: string | null;
}

async function ask({ door }: Scene, query: string, headers = {}): Promise<Answer> {
  const found = await fetch(`${door.url}/api/v1/answers?${query}`, {
    headers: { connection: "close", ...headers }, cache: "no-store",
  });
  const { status, headers: told } = found;
  const seq = told.get("x-titan-seq");
  return { status, etag: told.get("etag") ?? "", text: await found.text(), seq };
}

test("over HTTP: as the schema says, and not sent twice", async () => {
  const world = await scene();
  try {
    const first = await ask(world, "get=gates&get=waits&get=runs&get=pools");
    assert.equal(first.status, 200, first.text);
    assert.equal(first.seq, null);
    const { paths } = await (await fetch(`${world.door.url}/api/v1/openapi.json`, {
      headers: { connection: "close" },
    })).json() as any;
    const schema = (path: string): any =>
      paths[`/api/v1/${path}`].get.responses["200"].content["application/json"].schema;
    const answers = JSON.parse(first.text) as { get: string; value: unknown }[];
    assert.equal(mismatch(schema("answers"), answers), undefined);
    assert.deepEqual(answers.map(({ get }) => get), ["gates", "pools", "runs", "waits"]);
    for (const { get, value } of answers) assert.equal(mismatch(schema(get), value), undefined);
    const known = { "if-none-match": first.etag };
    const again = await ask(world, "get=pools&get=gates&get=runs&get=waits", known);
    assert.deepEqual([again.status, again.text, again.etag], [304, "", first.etag]);
    const other = await ask(world, "get=gates", known);
    assert.equal(other.status, 200);
    assert.equal((await ask(world, "get=../healthz")).status, 400);
  } finally {
    await world.end();
  }
});

test("over HTTP: whoever changes something sees it, and nobody sees it without the token",
  async () => {
    const token = "s3cret";
    const world = await scene({ token });
    try {
      const authorization = `Bearer ${token}`;
      const runs = async (): Promise<number> => {
        const { text } = await ask(world, "get=runs", { authorization });
        return (JSON.parse(text) as [{ value: unknown[] }])[0].value.length;
      };
      for (let count = 0; count < 3; count++) {
        assert.equal(await runs(), count);
        const submitted = await fetch(`${world.door.url}/api/v1/runs`, {
          method: "POST", body: JSON.stringify({ name: "x", jobs: [{ id: "a", run: "true" }] }),
          headers: { authorization, connection: "close", "content-type": "application/json" },
        });
        assert.equal(submitted.status, 200, await submitted.text());
      }
      const { status, etag } = await ask(world, "get=runs", { authorization });
      assert.equal(status, 200);
      for (const headers of [{}, { "if-none-match": etag }, { authorization: "Bearer wrong" }]) {
        const refused = await ask(world, "get=runs", headers);
        assert.equal(refused.status, 401);
        assert.doesNotMatch(refused.text, /submittedAt/);
      }
    } finally {
      await world.end();
    }
  });
