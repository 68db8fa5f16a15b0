/** `titan graph`: a picture of a file, and of a run with its states. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { drawSvg, layout } from "#layout";
import { connect, type Client } from "#sdk";
import { tempFolder, titan, up, type Ended, type Up } from "./cli.support.ts";

const PIPELINE = `
name: shop
jobs:
  - {id: build, run: 'true'}
  - {id: bad, run: 'exit 3', needs: build}
  - {id: ship, run: 'true', needs: [build, bad]}
`;

let cluster: Up;
let client: Client;
const cwd = tempFolder({ "shop.yaml": PIPELINE });

before(async () => {
  cluster = await up(["--workers", "1"], { cwd });
  client = await connect({ master: cluster.ready.master });
});

after(async () => {
  client.close();
  await cluster.kill("SIGTERM");
});

const draw = (...args: string[]): Promise<Ended> =>
  titan(["graph", ...args], { cwd, env: { TITAN_MASTER: cluster.ready.master } });

test("titan graph draws a file, and says where everything is", async () => {
  const { code, stdout, stderr } = await draw("shop.yaml");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^<svg xmlns=.*<title>shop<\/title>.*<\/svg>\n$/s);
  assert.deepEqual([...stdout.matchAll(/<text [^>]*>([^<]*)</g)].map(([, text]) => text),
    ["build", "bad", "ship"]);
  assert.equal([...stdout.matchAll(/<path /g)].length, 3);
  const places = JSON.parse((await draw("shop.yaml", "--json")).stdout) as {
    jobs: { id: string; rank: number }[]; edges: { from: string; to: string }[];
  };
  assert.deepEqual(places.jobs.map(({ id, rank }) => [id, rank]),
    [["build", 0], ["bad", 1], ["ship", 2]]);
  assert.deepEqual(places.edges.map(({ from, to }) => `${from} ${to}`),
    ["build bad", "build ship", "bad ship"]);
  assert.equal((await draw("none.yaml")).code, 2);
});

test("titan graph draws a run, whose jobs have the colours of their states", async () => {
  const { run } = await client.submit({ name: "shop", jobs: [
    { id: "build", run: "true" }, { id: "bad", run: "exit 3", needs: "build" },
    { id: "ship", run: "true", needs: "bad" },
  ] });
  await client.wait(run);
  const { code, stdout, stderr } = await draw(run.slice(0, -1));
  assert.equal(code, 0, stderr);
  for (const [id, status] of [
    ["build", "COMPLETED"], ["bad", "FAILED"], ["ship", "SKIPPED"],
  ] as const) {
    const state = status.toLowerCase();
    assert.ok(stdout.includes(`<g class="${state}"><title>${id}: ${status}</title>`), stdout);
  }
  assert.match((await draw("nothing")).stderr, /Cannot find run "nothing"/);
});

test("drawSvg() takes no text for markup, and no letter that XML does not know", () => {
  const evil = "<img onerror=\"x\">&\u0000\u0007\ud800";
  const svg = drawSvg(layout([[]]), [{ text: evil, state: "a\"b", title: evil }], { title: evil });
  assert.doesNotMatch(svg, /<img|\u0000|\u0007|\ud800(?![\udc00-\udfff])/);
  assert.ok(svg.includes("&lt;img onerror=&quot;x&quot;&gt;&amp;\ufffd\ufffd\ufffd"));
  assert.ok(svg.includes('class="a&quot;b"'));
  const emoji = "👩‍🚀".repeat(64);
  const shown = drawSvg(layout([[]]), [{ text: emoji }]);
  assert.equal(Buffer.from(shown).toString(), shown);
});
