/** The HTTP interface: its guard, its routes by themselves, and all of it before a real cluster. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect as dial } from "node:net";
import { after, before, test } from "node:test";
import { startEmbeddedCluster, type EmbeddedCluster } from "#cluster";
import { nodeHost } from "#host";
import { HttpDoor, type Mount } from "#http";
import { integer, list, mapOf, mismatch, object, orNull, text } from "#rows";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import {
  cookieOf, namesOf, REQUEST_HEADER, strangeRequest, unknownPerson, type Head, type Rules,
} from "../src/http/guard.ts";
import { findRoute, HttpError, type Route } from "../src/http/route.ts";
import { MAX_BODY_BYTES } from "../src/http/body.ts";
import { MAX_SESSIONS, Sessions, SESSION_MS } from "../src/http/sessions.ts";
import { eventually, tempFolder } from "./cli.support.ts";
import "./leaks.support.ts";

const rules = (more: Partial<Rules> = {}): Rules => ({
  names: namesOf(9080), token: undefined, cookie: "titan-9080", isSession: () => false, ...more,
});
const get = (headers: Head["headers"]): Head => ({ method: "GET", headers });
const post = (headers: Head["headers"]): Head => ({ method: "POST", headers });

test("strangeRequest() knows its own names and no other, on every method", () => {
  for (const host of ["127.0.0.1:9080", "localhost:9080", "LOCALHOST:9080", "[::1]:9080"]) {
    assert.equal(strangeRequest(get({ host }), rules()), undefined, host);
    for (const origin of [`http://${host}`, "http://localhost:9080"]) {
      assert.equal(strangeRequest(post({ host, origin }), rules()), undefined, origin);
    }
  }
  const named = rules({ names: namesOf(9080, ["Titan.example.org"]) });
  assert.equal(strangeRequest(get({ host: "titan.example.org" }), named), undefined);
  for (const host of [
    undefined, "", "evil.test", "evil.test:9080", "127.0.0.1", "127.0.0.1:9081",
    "127.0.0.1:9080.evil.test", "localhost:9080@evil.test",
  ]) {
    assert.equal(strangeRequest(get({ host }), rules())?.status, 403, host);
  }
  for (const origin of [
    "null", "", "http://evil.test", "http://127.0.0.1", "http://127.0.0.1:9081", "127.0.0.1:9080",
    "http://127.0.0.1:9080.evil.test", "http://127.0.0.1:9080/", "file://127.0.0.1:9080",
  ]) {
    assert.equal(strangeRequest(get({ host: "127.0.0.1:9080", origin }), rules())?.status, 403,
      origin);
  }
});

test("unknownPerson() wants the token, or the session of a browser, for everything", () => {
  const guarded = rules({ token: "s3cret", isSession: (id) => id === "abc" });
  assert.equal(unknownPerson(get({}), rules()), undefined);
  for (const headers of [
    {}, { authorization: "Bearer wrong" }, { authorization: "s3cret" }, { cookie: "titan-9080=x" },
    { cookie: "titan-9081=abc" }, { authorization: "Bearer wrong", cookie: "titan-9080=abc" },
  ]) {
    assert.equal(unknownPerson(get(headers), guarded)?.status, 401, JSON.stringify(headers));
  }
  for (const headers of [
    { authorization: "Bearer s3cret" }, { authorization: "bearer  s3cret" },
    { cookie: "a=b; titan-9080=abc" },
  ]) {
    assert.equal(unknownPerson(get(headers), guarded), undefined, JSON.stringify(headers));
  }
  assert.equal(cookieOf("a=1; titan=x=y", "titan"), "x=y");
});

test("unknownPerson() wants a header for a change that a foreign page cannot send", () => {
  const own = { [REQUEST_HEADER]: "1" };
  const guarded = rules({ token: "s3cret", isSession: () => true });
  assert.equal(unknownPerson(post({}), rules())?.status, 403);
  assert.equal(unknownPerson(post(own), rules()), undefined);
  assert.equal(unknownPerson(post({ cookie: "titan-9080=abc" }), guarded)?.status, 403);
  assert.equal(unknownPerson(post({ cookie: "titan-9080=abc", ...own }), guarded), undefined);
  // A program that shows the token is no page.
  assert.equal(unknownPerson(post({ authorization: "Bearer s3cret" }), guarded), undefined);
});

test("Sessions: a code opens one session, which ends by itself", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("m");
  const sessions = new Sessions(host, 9080);
  const code = sessions.newCode();
  const cookie = sessions.open(code)!;
  const [, id] = /^titan-9080=([\w-]+); Path=\/; HttpOnly; SameSite=Strict; /.exec(cookie)!;
  assert.equal(sessions.open(code), undefined);
  assert.equal(sessions.open("guess"), undefined);
  assert.equal(sessions.has(id!), true);
  await world.run(SESSION_MS - 1);
  assert.equal(sessions.has(id!), true);
  await world.run(SESSION_MS);
  assert.equal(sessions.has(id!), false);
  const ids = Array.from({ length: MAX_SESSIONS + 1 }, () =>
    /=([\w-]+);/.exec(sessions.open(sessions.newCode())!)![1]!);
  assert.deepEqual([sessions.has(ids[0]!), sessions.has(ids[1]!)], [false, true]);
});

const route = (method: "GET" | "POST", path: string): Route =>
  ({ method, path, summary: "", run: async () => undefined });

test("findRoute() decodes parts after it has split, and says which methods there are", () => {
  const routes = [route("GET", "/a/{b}"), route("POST", "/a/{b}"), route("GET", "/a/{b}/c")];
  const found = findRoute(routes, "GET", "/a/x%2Fy%20z");
  assert.deepEqual([found.route, found.path], [routes[0], { b: "x/y z" }]);
  assert.equal(findRoute(routes, "HEAD", "/a/x/c").route, routes[2]);
  const refused = (method: string, path: string): HttpError => {
    try {
      findRoute(routes, method, path);
    } catch (error) {
      return error as HttpError;
    }
    throw new Error("it was found");
  };
  assert.deepEqual([refused("PUT", "/a/x").status, refused("PUT", "/a/x").headers["allow"]],
    [405, "GET, POST"]);
  for (const path of ["/", "/a", "/a/", "/a/x/d", "/a/x/c/"]) {
    assert.equal(refused("GET", path).status, 404, path);
  }
  assert.equal(refused("GET", "/a/%zz").status, 400);
});

test("mismatch() names the first place that does not fit", () => {
  const schema = object({
    a: integer, "b?": text, c: orNull(list(text)), d: mapOf(integer),
  });
  const good = { a: 1, c: null, d: {} };
  assert.equal(mismatch(schema, good), undefined);
  assert.equal(mismatch(schema, { ...good, b: "x", c: ["y"], d: { e: 2 } }), undefined);
  assert.equal(mismatch(schema, { ...good, b: undefined }), undefined);
  assert.match(mismatch(schema, { ...good, a: 1.5 })!, /^\$\.a: must be integer, found number/);
  assert.match(mismatch(schema, { ...good, b: 1 })!, /^\$\.b: must be string/);
  assert.match(mismatch(schema, { ...good, c: [1] })!, /^\$\.c\[0\]: must be string/);
  assert.match(mismatch(schema, { ...good, d: { e: "x" } })!, /^\$\.d\.e: must be integer/);
  assert.match(mismatch(schema, { ...good, x: 1 })!, /^\$\.x: is not known \(a, b, c, d\)/);
  assert.match(mismatch(schema, { c: null, d: {} })!, /^\$\.a: is missing/);
  assert.match(mismatch(schema, [])!, /must be object, found array/);
});

// ── before a real cluster ────────────────────────────────────────────────────────────────────────

let cluster: EmbeddedCluster;
let door: HttpDoor;
let titan: Client;
let port: number;
const host = nodeHost();

before(async () => {
  cluster = await startEmbeddedCluster({
    workers: 1, slots: 2, port: 0, listenHost: "127.0.0.1", stateDir: tempFolder(),
    token: "s3cret", onNote: () => undefined, onFatal: (error) => assert.fail(error),
  });
  const { master } = cluster;
  const listen = { host: "127.0.0.1", port: 0 };
  const mounts = { "/echo": echo };
  door = new HttpDoor({ host, master, token: "s3cret", version: "1.2.3", listen, mounts });
  port = (await door.open()).port;
  titan = await connect({ master, token: "s3cret" });
  // What stays open from here on: the worker's connection, and the door's own.
  await eventually("the worker", async () => (await ask("/api/v1/workers")).json.length === 1);
});

after(async () => {
  titan.close();
  await door.close();
  await cluster.stop();
});

/** Another protocol: it sends back what came. */
const echo: Mount = async ({ method, headers, body }) => ({
  status: 203, headers: { "content-type": "text/plain", "x-asked": method },
  body: `${headers["titan-request"] ?? "-"} ${body.toString()}`,
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  // eslint-free: what an answer is, its test says.
  readonly json: any;
}

interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/**
 * With the token, unless the headers say otherwise. `fetch` would not let us set Host or Origin.
 */
function ask(
  path: string, { method = "GET", headers = {}, body }: Sent = {}, at = port,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { authorization: "Bearer s3cret", ...headers };
    const to = { host: "127.0.0.1", port: at, path, method, headers: all, agent: false };
    const request = httpRequest(to, (found) => {
      const pieces: Buffer[] = [];
      found.on("data", (piece: Buffer) => pieces.push(piece)).on("error", reject);
      found.on("end", () => {
        const text = Buffer.concat(pieces).toString("utf8");
        const isJson = found.headers["content-type"]?.startsWith("application/json");
        const json: unknown = isJson ? JSON.parse(text) : undefined;
        resolve({ status: found.statusCode!, headers: found.headers, text, json });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

const change = (path: string, body: unknown = {}): Promise<Answer> => ask(path, {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
});
const yaml = (path: string, body: string): Promise<Answer> =>
  ask(path, { method: "POST", headers: { "content-type": "application/yaml" }, body });

/** Asks, and compares the answer with what openapi.json says of this path. */
let described: any;
async function fits(pattern: string, answer: Promise<Answer>, method = "get"): Promise<any> {
  described ??= (await ask("/api/v1/openapi.json")).json;
  const { status, json } = await answer;
  assert.equal(status, 200, JSON.stringify(json));
  const operation = described.paths[pattern][method];
  const { schema } = operation.responses["200"].content["application/json"];
  assert.equal(mismatch(schema, json), undefined);
  return json;
}

test("a run is submitted, watched, read and answered; every answer fits openapi.json", async () => {
  const submitted = await fits("/api/v1/runs", yaml("/api/v1/runs?key=k1&by=ada", `
    name: shop
    jobs:
      - id: build
        run: echo "building <b>"; echo '{"v":1}' > "$TITAN_OUTPUT"
        hitl: {message: "Ship?", form: [{name: region, choices: [eu, us]}], self_approval: false}
      - {id: ship, run: 'echo shipped', needs: build}
      - {id: bad, run: 'exit 3'}
  `), "post");
  const { run } = submitted;
  const unkeyed = await yaml("/api/v1/runs?key=", "name: other\njobs: [{id: a, run: 'true'}]\n");
  assert.deepEqual([unkeyed.status, unkeyed.json.error.code], [400, "BAD_REQUEST"]);
  const again = await yaml("/api/v1/runs?key=k1", "name: other\njobs: [{id: a, run: 'true'}]\n");
  assert.deepEqual([again.status, again.json.error.code], [409, "CONFLICT"]);

  for await (const event of titan.watch(run)) {
    const isOpen = event.type === "job"
      ? event.change.status === "WAITING"
      : event.type === "snapshot" && event.jobs.some((job) => job.status === "WAITING");
    if (isOpen) break;
  }
  const [gate] = await fits("/api/v1/gates", ask("/api/v1/gates"));
  assert.deepEqual([gate.id, gate.submitter, gate.result], [`${run}/build`, "ada", { v: 1 }]);
  const own = await change("/api/v1/gates/answer", { gate: gate.id, answer: "approve", by: "ada" });
  assert.match(own.json.error.message, /ada submitted the run/);
  const approved = { gate: gate.id, answer: "approve", by: "bob", fields: { region: "eu" } };
  const said = await fits("/api/v1/gates/answer", change("/api/v1/gates/answer", approved), "post");
  assert.deepEqual([said.approved, said.already, said.fields], [true, false, { region: "eu" }]);
  await titan.wait(run);

  const whole = await fits("/api/v1/runs/{run}", ask(`/api/v1/runs/${run}`));
  assert.deepEqual(whole.jobs.map((job: any) => [job.id, job.status, job.dependsOn]), [
    ["build", "COMPLETED", []], ["ship", "COMPLETED", ["build"]], ["bad", "FAILED", []],
  ]);
  const one = await fits("/api/v1/runs/{run}/jobs/{job}", ask(`/api/v1/runs/${run}/jobs/bad`));
  assert.deepEqual([one.job.failure.kind, one.job.failure.exitCode], ["exit", 3]);
  const definition = await fits("/api/v1/runs/{run}/definition",
    ask(`/api/v1/runs/${run}/definition`));
  assert.deepEqual(definition.jobs.map(({ id, run: script }: any) => [id, script]).slice(1),
    [["ship", "echo shipped"], ["bad", "exit 3"]]);
  const log = await ask(`/api/v1/runs/${run}/jobs/build/logs`);
  assert.equal(log.text, "building <b>\n");
  assert.match(String(log.headers["content-type"]), /^text\/plain/);
  assert.match(String(log.headers["content-disposition"]), /^attachment; filename="shop-/);
  const retried = await fits("/api/v1/runs/{run}/retry",
    change(`/api/v1/runs/${run}/retry`, { from: "bad" }), "post");
  assert.deepEqual(retried, { run, jobs: 1 });
  await titan.wait(run);

  const runs = await fits("/api/v1/runs", ask("/api/v1/runs?name=shop&status=FAILED"));
  assert.deepEqual(runs.map(({ id }: { id: string }) => id), [run]);
  for (const status of ["failed, cancelled", ""]) {
    const found = (await ask(`/api/v1/runs?name=shop&status=${encodeURIComponent(status)}`)).json;
    assert.deepEqual(found.map(({ id }: { id: string }) => id), [run], status);
  }
  const typo = await ask("/api/v1/runs?status=fail");
  assert.equal(typo.status, 400);
  assert.match(typo.json.error.message, /Cannot use status="fail": there are RUNNING, /);
  assert.deepEqual((await ask(`/api/v1/runs?since=${whole.run.submittedAt + 1}`)).json, []);
  assert.deepEqual((await ask("/api/v1/runs?limit=0")).json, []);
  assert.equal((await ask("/api/v1/runs?limit=x")).status, 400);
});

test("workers, pools, services, dead letters, the master itself", async () => {
  const [worker] = await fits("/api/v1/workers", ask("/api/v1/workers"));
  assert.deepEqual([worker.slots, worker.away], [2, false]);
  const path = "/api/v1/workers/{worker}/drain";
  const drain = (body: object): Promise<Answer> =>
    change(`/api/v1/workers/${worker.name}/drain`, body);
  await fits(path, drain({}), "post");
  assert.equal((await ask("/api/v1/workers")).json[0].state, "drained");
  await fits(path, drain({ undo: true }), "post");
  assert.deepEqual(await fits("/api/v1/pools", ask("/api/v1/pools")), []);
  assert.deepEqual(await fits("/api/v1/services", ask("/api/v1/services")), []);
  await fits("/api/v1/dead", ask("/api/v1/dead"));
  const info = await fits("/api/v1/info", ask("/api/v1/info"));
  assert.equal(info.workers, 1);
  assert.deepEqual((await ask("/readyz")).json, { ready: true, workers: 1, full: "" });
  assert.equal((await ask("/healthz", { headers: { authorization: "" } })).status, 200);
});

test("a service is deployed, scaled, restarted and stopped", async () => {
  const deployed = await yaml("/api/v1/runs?deploy=1", `
    name: web
    jobs:
      - id: web
        type: service
        run: exec sleep 600
        healthcheck: {command: ["true"], interval: 100ms}
  `);
  const { run } = deployed.json;
  for await (const event of titan.watch(run)) {
    if (event.type !== "job" && event.run.status === "SERVING") break;
  }
  const [group] = await fits("/api/v1/services", ask("/api/v1/services"));
  assert.deepEqual([group.name, group.state, group.replicas.length], ["web", "READY", 1]);
  const [{ jobs, heardMs }] = await fits("/api/v1/workers", ask("/api/v1/workers"));
  assert.deepEqual(jobs.map(({ job, service }: any) => [job, service]),
    [["web", { name: "web", state: "READY" }]]);
  assert.ok(heardMs >= 0 && heardMs < 10_000, `${heardMs} ms`);
  const to = (what: string): string => `/api/v1/services/web/${what}`;
  const pattern = "/api/v1/services/{service}/";
  await fits(`${pattern}scale`, change(to("scale"), { replicas: 2 }), "post");
  assert.equal((await ask("/api/v1/services")).json[0].replicas.length, 2);
  const none = await change(to("scale"), {});
  assert.match(none.json.error.message, /body\.replicas: is missing/);
  await fits(`${pattern}restart`, change(to("restart")), "post");
  const stopped = await fits(`${pattern}stop`, change(to("stop"), { by: "ada" }), "post");
  assert.deepEqual([stopped.run, stopped.services], [run, ["web"]]);
  await titan.wait(run, { toEnd: true });
});

test("a pipeline is only looked at; one that needs its folder is refused in words", async () => {
  const good = await fits("/api/v1/validate",
    yaml("/api/v1/validate", "name: a\njobs: [{id: a, run: ls}]\n"), "post");
  assert.deepEqual(good, { valid: true, name: "a", jobs: 1, warnings: [] });
  const bad = await fits(
    "/api/v1/validate",
    yaml("/api/v1/validate", "name: a\njobs: 1\n"),
    "post",
  );
  assert.match(bad.problems[0].message, /"jobs"/);
  const json = await change("/api/v1/runs", { name: "a", jobs: [{ id: "a", file: "a.py" }] });
  assert.equal(json.status, 422);
  const said = /job "a" names a file; send the files with it, or use titan run/;
  assert.match(json.json.error.message, said);
  assert.equal((await yaml("/api/v1/runs", "name: a\n")).status, 422);
});

test("refusals have a code, a sentence and a status, and change nothing", async () => {
  const before = (await ask("/api/v1/runs?limit=1000")).json.length;
  const body = "name: a\njobs: [{id: a, run: ls}]\n";
  const submit = (headers: Record<string, string>): Promise<Answer> =>
    ask("/api/v1/runs", { method: "POST", headers, body });
  const own = { host: `127.0.0.1:${port}`, "content-type": "application/yaml" };
  const browser = { ...own, authorization: "" };
  const found = await Promise.all([
    submit({ ...own, origin: "http://evil.test" }), submit({ ...own, origin: "null" }),
    submit({ ...own, host: "evil.test" }), submit({ ...browser, [REQUEST_HEADER]: "1" }),
    submit({ ...own, authorization: "Bearer guess" }), submit({ ...own, "content-type": "" }),
    ask("/api/v1/runs/no-such"), ask("/api/v1/nothing"), ask("/api/v1/info", { method: "DELETE" }),
    change("/api/v1/runs/x/retry", { form: "a" }), change("/api/v1/runs/x/cancel"),
    ask("/api/v1/runs/x/cancel", {
      method: "POST", headers: { "content-type": "application/json" }, body: "{",
    }),
    ask("/api/v1/runs/a/jobs/b/logs"), ask("/login/guess"),
  ]);
  assert.deepEqual(found.map(({ status }) => status),
    [403, 403, 403, 401, 401, 415, 404, 404, 405, 400, 404, 400, 404, 401]);
  for (const { json } of found) assert.match(json.error.message, /^[A-Z].*[^.]$/s);
  assert.equal((await ask("/api/v1/runs?limit=1000")).json.length, before);
});

test("a link works once, and its cookie reads; a change wants the header as well", async () => {
  const code = new URL(door.newLink()).pathname;
  const open = await ask(code, { headers: { authorization: "" } });
  assert.deepEqual([open.status, open.headers["location"]], [303, "/"]);
  const cookie = String(open.headers["set-cookie"]).split(";")[0]!;
  const headers = { authorization: "", cookie };
  assert.equal((await ask("/api/v1/workers", { headers })).status, 200);
  assert.equal((await ask(code, { headers })).status, 401);
  const drain = (more: Record<string, string>): Promise<Answer> =>
    ask("/api/v1/runs/x/cancel", { method: "POST", headers: { ...headers, ...more } });
  assert.equal((await drain({})).status, 403);
  assert.equal((await drain({ [REQUEST_HEADER]: "1" })).status, 404);
});

test("another protocol has a path behind the same guard, and wants JSON for a change", async () => {
  const json = { "content-type": "application/json; charset=utf-8" };
  const found = await ask("/echo", { method: "POST", headers: json, body: "[1]" });
  assert.deepEqual([found.status, found.text, found.headers["x-asked"]],
    [203, "- [1]", "POST"]);
  const refusals: [number, Record<string, string>][] = [
    [401, { authorization: "Bearer no" }], [403, { origin: "http://evil.test" }],
    [403, { host: "evil.test" }],
  ];
  for (const [status, headers] of refusals) {
    const refused = await ask("/echo", { method: "POST", headers: { ...json, ...headers } });
    assert.equal(refused.status, status);
  }
  const { master } = cluster;
  const listen = { host: "127.0.0.1", port: 0 };
  const open = new HttpDoor({
    host, master, token: undefined, version: "", listen, mounts: { "/echo": echo },
    mountsOnly: true,
  });
  const at = (path: string, headers: Record<string, string>): Promise<Answer> =>
    ask(path, { method: "POST", headers, body: "" }, at.port);
  at.port = (await open.open()).port;
  const plain = { authorization: "", "content-type": "text/plain" };
  assert.equal((await at("/echo", plain)).status, 403);
  assert.equal((await at("/api/v1/runs", json)).status, 404);
  await open.close();
});

test("every answer has the headers that keep a browser safe", async () => {
  const login = new URL(door.newLink()).pathname;
  const paths = ["/healthz", "/api/v1/workers", "/api/v1/nothing", login];
  for (const path of paths) {
    const { headers } = await ask(path);
    assert.match(String(headers["content-security-policy"]), /default-src 'self'.*frame-ancestors/);
    assert.doesNotMatch(String(headers["content-security-policy"]), /unsafe/);
    assert.equal(headers["x-content-type-options"], "nosniff", path);
    assert.equal(headers["access-control-allow-origin"], undefined, path);
  }
});

test("a body beyond the limit is refused, whether it says so or not", async () => {
  const large = Buffer.alloc(MAX_BODY_BYTES + 1, " ");
  const said = { "content-type": "application/json", "content-length": String(large.length) };
  const refused = await ask("/api/v1/runs", { method: "POST", headers: said, body: "x" })
    .catch((error: Error) => error.message);
  assert.equal(typeof refused === "string" ? 413 : refused.status, 413);
  const chunked = { "content-type": "application/json", "transfer-encoding": "chunked" };
  const unsaid = await ask("/api/v1/runs", { method: "POST", headers: chunked, body: large })
    // The answer may come while we still send, and the connection end under us.
    .catch((error: NodeJS.ErrnoException) => error.code);
  assert.ok(unsaid === "ECONNRESET" || unsaid === "EPIPE" || (unsaid as Answer).status === 413);
  const full = Buffer.alloc(MAX_BODY_BYTES, " ");
  const json = { "content-type": "application/json" };
  const empty = await ask("/api/v1/validate", { method: "POST", headers: json, body: full });
  assert.equal(empty.status, 400);
});

test("a peer that is slow with its head, or with its body, is cut", async () => {
  const { master } = cluster;
  const patience = { headMs: 100, requestMs: 200 };
  const listen = { host: "127.0.0.1", port: 0 };
  const slow = new HttpDoor({ host, master, token: undefined, version: "", listen, patience });
  const at = (await slow.open()).port;
  const cutAfter = (text: string): Promise<string> => new Promise((resolve) => {
    let said = "";
    const socket = dial({ host: "127.0.0.1", port: at }, () => socket.write(text));
    socket.on("data", (piece) => (said += piece.toString())).on("error", () => undefined);
    socket.on("close", () => resolve(said));
  });
  const own = `Host: 127.0.0.1:${at}\r\ntitan-request: 1\r\n`;
  const body = `POST /api/v1/validate HTTP/1.1\r\n${own}Content-Type: application/json\r\n` +
    "Content-Length: 9\r\n\r\n{";
  for (const text of [`GET / HTTP/1.1\r\n${own}`, body]) {
    assert.match(await cutAfter(text), /^HTTP\/1\.1 408 |^$/);
  }
  await slow.close();
});

test("what is behind the port is loaded again if that has failed", async () => {
  const { host, master } = { host: nodeHost(), master: cluster.master };
  let loads = 0;
  const own = new HttpDoor({
    host, master, token: undefined, version: "", listen: { host: "127.0.0.1", port: 0 },
  }, async () => {
    loads += 1;
    if (loads === 1) throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    return import("../src/http/serving.ts");
  });
  await own.open();
  try {
    const refused = await fetch(`${own.url}/healthz`);
    assert.equal(refused.status, 503);
    assert.match(await refused.text(), /^Cannot answer: a part of Titan could not be loaded/);
    assert.equal((await fetch(`${own.url}/healthz`)).status, 200);
    await fetch(`${own.url}/healthz`);
    assert.equal(loads, 2, "once it is there it stays");
  } finally {
    await own.close();
  }
});

test("a log that is followed ends with its peer, on both sides", async () => {
  const { run } = await titan.submit({
    name: "slow",
    jobs: [{ id: "a", run: "echo 1; sleep 600" }],
  });
  const path = `/api/v1/runs/${run}/jobs/a/logs?follow=1`;
  const first = await new Promise<string>((resolve, reject) => {
    const socket = dial({ host: "127.0.0.1", port }, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
        "Authorization: Bearer s3cret\r\n\r\n");
    });
    let seen = "";
    socket.on("error", reject).on("data", (piece) => {
      seen += piece.toString();
      if (!seen.includes("\r\n\r\n2\r\n1\n")) return;
      socket.destroy();
      resolve(seen);
    });
  });
  assert.match(first, /^HTTP\/1\.1 200 /);
  await titan.cancel(run);
  await titan.wait(run);
});
