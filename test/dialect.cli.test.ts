/** `titan up --v1` as a process, and that nobody pays for it who does not ask for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { start, tempFolder } from "./cli.support.ts";
import { exchange, frame } from "./dialect.support.ts";
import { codeOf, read, sources } from "./style.support.ts";

test("titan up serves version 1 on the master's port or on one of its own, and not unless " +
  "asked", async () => {
  const cwd = tempFolder();
  const up = ["up", "--port", "0", "--workers", "0", "--no-store", "--json", "--state"];
  const ready = async (name: string, ...flags: string[]) => {
    const titan = start([...up, name, ...flags], { cwd });
    const [line] = await titan.until("stdout", /\{.*\}\n/);
    const { v1, port } = JSON.parse(line) as { v1?: string; port: number };
    return { titan, v1: Number(v1?.split(":")[1] ?? 0), port };
  };
  const [own, beside, without] = await Promise.all([
    ready("a", "--v1"), ready("b", "--v1-port", "0"), ready("c"),
  ]);
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
