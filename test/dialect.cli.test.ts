/** `titan up --v1` as a process, and that nobody pays for it who does not ask for it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { start, tempFolder } from "./cli.support.ts";
import { exchange, frame } from "./dialect.support.ts";
import { codeOf, read, sources } from "./style.support.ts";

test("titan up serves version 1 on the master's port or on one of its own, and not unless " +
  "asked", async (t) => {
  const cwd = tempFolder();
  const up = ["up", "--port", "0", "--workers", "0", "--no-store", "--json", "--state"];
  const taken = createServer().listen(0, "127.0.0.1");
  t.after(() => void taken.close());
  await once(taken, "listening");
  const inUse = String((taken.address() as AddressInfo).port);
  const ready = async (name: string, dashboard: string, ...flags: string[]) => {
    const titan = start([...up, name, ...flags], { cwd, env: { TITAN_DASHBOARD_PORT: dashboard } });
    const [line] = await titan.until("stdout", /\{.*\}\n/);
    const { v1, manifest, port } =
      JSON.parse(line) as { v1?: string; manifest: string | null; port: number };
    return { titan, v1: Number(v1?.split(":")[1] ?? 0), manifest, port };
  };
  const [own, beside, without] = await Promise.all([
    ready("a", "0", "--v1"), ready("b", inUse, "--v1-port", "0"), ready("c", "0"),
  ]);
  // The dashboard's port: where the original's SDK posts the names of its DAGs.
  const told = await fetch(`http://${own.manifest}/api/manifest/sync`, {
    method: "POST", headers: { "content-type": "application/json" }, body: "{}",
  });
  assert.deepEqual([told.status, await told.json()], [200, { status: "ok" }]);
  assert.deepEqual([beside.manifest, without.manifest], [null, null]);
  await beside.titan.until("stderr", /tells no names of DAGs at port \d+: the port is in use/);
  const known = frame(0x50, "NULL");
  const ask = (port: number) => exchange(port, frame(0x55, "DAG-a"));
  assert.deepEqual([own.v1, await ask(own.port)], [own.port, known]);
  assert.deepEqual(await ask(beside.v1), known);
  for (const port of [beside.port, without.port]) assert.notDeepEqual(await ask(port), known);
  assert.equal(without.v1, 0);
  const both = start([...up, "d", "--v1", "--v1-port", "1"], { cwd });
  const { code, stderr } = await both.ended;
  assert.equal(code, 2);
  assert.match(stderr, /Cannot serve version 1 twice: --v1 serves them on the master's port/);
  const ends = await Promise.all([own, beside, without].map(({ titan }) => titan.kill("SIGTERM")));
  assert.deepEqual(ends.map((end) => end.code), [0, 0, 0]);
});

test("nothing of the older dialect is loaded unless it is asked for", () => {
  const eager = sources.filter((file) => !file.startsWith("src/dialect/")
    && /^import (?!type\b)[^;]*from "#dialect"/m.test(codeOf(read(file), { keepStrings: true })));
  assert.deepEqual(eager, []);
});
