/** The dashboard's files over HTTP: types, ETags, headers, paths, and the login. No browser. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { nodeHost } from "#host";
import { HttpDoor } from "#http";
import { ensureBuilt } from "../scripts/bootstrap.mjs";

/** Code as it travels: of the first view, and of all of them. */
const MAX_FIRST_BYTES = 60_000;
const MAX_CODE_BYTES = 150_000;
/** Nobody is there: no page needs the master before its program asks. */
const NOWHERE = { host: "127.0.0.1", port: 1 };

await ensureBuilt();

let open: HttpDoor;
let locked: HttpDoor;

before(async () => {
  const listen = { host: "127.0.0.1", port: 0 };
  const common = { host: nodeHost(), master: NOWHERE, version: "1.2.3", listen };
  open = new HttpDoor({ ...common, token: undefined });
  locked = new HttpDoor({ ...common, token: "s3cret" });
  await Promise.all([open.open(), locked.open()]);
});
after(() => Promise.all([open.close(), locked.close()]));

const load = (path: string, headers: Record<string, string> = {}, door = open): Promise<Response> =>
  fetch(door.url + path, { headers, redirect: "manual" });

const links = (shell: string): string[] =>
  [...shell.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!);

test("every path of a view answers one page, with the strict headers", async () => {
  const shell = await (await load("/")).text();
  for (const path of ["/", "/runs", "/runs/a%2Fb?job=x", "/constructor", "/no/such/view"]) {
    const response = await load(path);
    assert.equal(response.status, 200, path);
    assert.equal(await response.text(), shell, path);
    assert.match(response.headers.get("content-type")!, /^text\/html; charset=utf-8$/);
    const policy = response.headers.get("content-security-policy")!;
    assert.match(policy, /^default-src 'self'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("access-control-allow-origin"), null);
  }
  for (const path of ["/api/v1/nothing", "/assets/nothing.js", "/assets/..%2f..%2fbase/mod.js"]) {
    assert.equal((await load(path)).status, 404, path);
  }
  assert.equal((await fetch(`${open.url}/runs`, { method: "POST" })).status, 403);
});

test("a first look that fails does not fail those who come later", async () => {
  const host = nodeHost();
  let failures = 0;
  const storage = new Proxy(host.storage, {
    get(target, name) {
      const own = target[name as keyof typeof target] as (...args: unknown[]) => unknown;
      if (name !== "list" || failures > 0) return own.bind(target);
      return async () => {
        failures++;
        throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
      };
    },
  });
  const door = new HttpDoor({
    host: { ...host, storage }, master: NOWHERE, version: "1.2.3", token: undefined,
    listen: { host: "127.0.0.1", port: 0 },
  });
  await door.open();
  try {
    const first = await load("/", {}, door);
    assert.equal(first.status, 500);
    assert.match(await first.text(), /EMFILE/);
    assert.equal((await load("/", {}, door)).status, 200);
    assert.equal(failures, 1);
  } finally {
    await door.close();
  }
});

/** The addresses that a module imports, at once or later. */
const importsOf = (text: string, at: string): string[] =>
  [...text.matchAll(/\b(?:from|import|URL)\s*\(?\s*"([./][^"]+)"/g)]
    .map(([, name]) => new URL(name!, open.url + at).pathname);

test("all files are there, in few bytes, and are not sent twice", async (t) => {
  const paths = new Set(links(await (await load("/")).text()));
  const atFirst = paths.size;
  assert.ok(atFirst > 5 && atFirst < 40, `${atFirst} files`);
  const bytes: number[] = [];
  for (const path of paths) {
    const response = await load(path);
    assert.equal(response.status, 200, path);
    bytes.push(Number(response.headers.get("content-length")));
    const text = await response.text();
    const type = { js: /^text\/javascript/, css: /^text\/css/, svg: /^image\/svg/ }[
      path.split(".").at(-1)!]!;
    assert.match(response.headers.get("content-type")!, type);
    assert.equal(response.headers.get("cache-control"), "no-cache");
    assert.doesNotMatch(text, /from "#|sourceMappingURL|(?:from |import\(|url\()"?https?:/, path);
    const etag = response.headers.get("etag")!;
    const again = await load(path, { "if-none-match": etag });
    assert.deepEqual([again.status, (await again.arrayBuffer()).byteLength], [304, 0], path);
    if (path.endsWith(".js")) for (const next of importsOf(text, path)) paths.add(next);
  }
  const sum = (some: readonly number[]): number => some.reduce((total, one) => total + one, 0);
  const [first, all] = [sum(bytes.slice(0, atFirst)), sum(bytes)];
  t.diagnostic(`at first ${atFirst} files, ${first} bytes; all ${bytes.length}, ${all} bytes`);
  assert.ok(first <= MAX_FIRST_BYTES, `${first} bytes`);
  assert.ok(all <= MAX_CODE_BYTES, `${all} bytes`);
});

test("gzip is for those who take it", async () => {
  const plain = await load("/assets/main.js", { "accept-encoding": "identity" });
  assert.equal(plain.headers.get("content-encoding"), null);
  const text = await plain.text();
  assert.match(text, /^import /m);
  const zipped = await load("/assets/main.js", { "accept-encoding": "gzip" });
  assert.equal(zipped.headers.get("content-encoding"), "gzip");
  assert.equal(zipped.headers.get("vary"), "accept-encoding");
  assert.equal(await zipped.text(), text);
});

test("with a token nothing is there without a login, and a person is told how", async () => {
  const html = { accept: "text/html,*/*" };
  for (const path of ["/", "/runs", "/assets/main.js", "/api/v1/runs"]) {
    assert.equal((await load(path, {}, locked)).status, 401, path);
  }
  const page = await load("/", html, locked);
  assert.equal(page.status, 401);
  assert.match(await page.text(), /<h1>This dashboard needs a login<\/h1>[\s\S]*titan up/);
  assert.match((await load("/api/v1/runs", html, locked)).headers.get("content-type")!, /json/);
  const login = await load(new URL(locked.newLink()).pathname, {}, locked);
  assert.deepEqual([login.status, login.headers.get("location")], [303, "/"]);
  const cookie = login.headers.get("set-cookie")!.split(";")[0]!;
  assert.equal((await load("/", { cookie }, locked)).status, 200);
  assert.equal((await load("/assets/main.js", { cookie }, locked)).status, 200);
});
