/**
 * Lesson 19: what people do in Approvals, Services, Agents and Store, in a real browser before a
 * real cluster.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { definePipeline } from "#pipeline";
import type { Client, JobInput } from "#sdk";
import { noBrowser, type Page } from "./lib/browser.ts";
import { openDashboard, type Scene } from "./lib/dashboard.ts";
import { eventually } from "./processes.support.ts";

let scene: Scene;
let titan: Client;

before(async () => {
  if (noBrowser !== false) return;
  scene = await openDashboard({ slots: 4, store: true, pool: "spare" });
  ({ titan } = scene);
});
after(() => scene?.close());

const open = (path: string, width = 1280): Promise<Page> =>
  scene.browser.open(`${scene.url}${path}`, { width, height: 800 });

const MAIN = join(import.meta.dirname, "..", "dist", "cli", "main.js");
const NOTE = "<img src=x onerror=alert(1)>";

/** A run whose only job has been done, and waits at its gate. */
async function gated(hitl: NonNullable<JobInput["hitl"]>): Promise<string> {
  const { run } = await titan.submit({
    name: "release",
    jobs: [{ id: "build", run: "echo '{\"size\": 88}' > \"$TITAN_OUTPUT\"", hitl }],
  });
  await eventually("the gate", async () => (await titan.gates()).some(({ id }) =>
    id.startsWith(run)));
  return run;
}

/** Empties the input in focus and types. */
async function fill(page: Page, name: RegExp, text: string): Promise<void> {
  await page.focus("textbox", name);
  await page.press("Control+a");
  await page.type(text);
}

test("a gate is approved by keys alone, with a form, a comment and a name", {
  skip: noBrowser,
}, async () => {
  const form: NonNullable<JobInput["hitl"]>["form"] = [
    { name: "share", type: "number", label: "Share", required: true },
    { name: "channel", type: "choice", choices: ["stable", "beta"] },
  ];
  const run = await gated({ message: `Ship it? ${NOTE}`, form });
  const page = await open("/approvals");
  await page.find("heading", `Ship it? ${NOTE}`);
  assert.ok(await page.evaluate(() => document.body.innerText.includes('"size": 88')));
  await fill(page, /Your name/, "ada");
  await page.focus("button", `Approve ${run}/build`);
  await page.press("Enter");
  await page.find("alert");
  assert.equal((await titan.gates()).length, 1, "a form that is not filled in approves nothing");
  await fill(page, /Share/, "25");
  await fill(page, /Comment/, "looks good");
  await page.focus("button", `Approve ${run}/build`);
  await page.press("Enter");
  await page.gone("button", `Approve ${run}/build`);
  const { decision } = (await titan.status(run, "build")).jobs[0]!;
  const { approved, by, comment, values } = decision!;
  assert.deepEqual({ approved, by, comment, values }, {
    approved: true, by: "ada", comment: "looks good", values: { share: "25" },
  });
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("what is typed goes along with the answer, although it was not drawn yet", {
  skip: noBrowser,
}, async () => {
  const form = [{ name: "share", type: "number" as const, label: "Share", required: true }];
  const run = await gated({ message: "quick", form });
  const page = await open("/approvals");
  await page.find("button", `Approve ${run}/build`);
  // In one turn, as by a quick person on a slow machine: no picture is drawn in between.
  await page.evaluate((id: string) => {
    const card = document.querySelector(`[data-gate="${id}"]`)!;
    for (const [caption, text] of [["Share", "25"], ["Comment", "in a hurry"]] as const) {
      const label = [...card.querySelectorAll("label")].find(({ textContent }) =>
        textContent.startsWith(caption))!;
      label.querySelector("input")!.value = text;
      label.querySelector("input")!.dispatchEvent(new InputEvent("input"));
    }
    card.querySelector<HTMLElement>(`[aria-label="Approve ${id}"]`)!.click();
  }, `${run}/build`);
  await page.gone("button", `Approve ${run}/build`);
  const { approved, comment, values } = (await titan.status(run, "build")).jobs[0]!.decision!;
  assert.deepEqual([approved, comment, values], [true, "in a hurry", { share: "25" }]);
  await page.close();
});

test("a job's page leads to its gate, which then is the one that a key answers", {
  skip: noBrowser,
}, async () => {
  const [first, second] = [await gated({ message: "one" }), await gated({ message: "two" })];
  const page = await open(`/runs/${second}?job=build`);
  await page.focus("link", "Answer the question of build");
  await page.press("Enter");
  await page.find("button", `Approve ${second}/build`);
  assert.equal(await page.evaluate(() =>
    document.querySelector<HTMLElement>(".is-asked")!.dataset["gate"]), `${second}/build`);
  await page.press("a");
  await page.gone("button", `Approve ${second}/build`);
  await page.until("it is told", () =>
    /This gate is not open any more: release-/.test(document.body.innerText));
  assert.deepEqual((await titan.gates()).map(({ id }) => id), [`${first}/build`]);
  await titan.cancel(first);
  await page.gone("button", `Approve ${first}/build`);
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("j goes to the next gate, x rejects the one in focus, and keys are letters in a field", {
  skip: noBrowser,
}, async () => {
  const [first, second] = [await gated({ message: "one" }), await gated({ message: "two" })];
  const page = await open("/approvals");
  await page.find("button", `Reject ${second}/build`);
  await fill(page, /Your name/, "xaxa");
  assert.equal((await titan.gates()).length, 2);
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.press("j");
  await page.press("j");
  await page.press("x");
  await page.gone("button", `Reject ${second}/build`);
  assert.equal((await titan.status(second)).run.status, "FAILED");
  assert.deepEqual((await titan.gates()).map(({ id }) => id), [`${first}/build`]);
  // Two people answer at one moment: the first answer counts, and the second is told what it was.
  const late = await open("/approvals");
  await late.find("button", `Approve ${first}/build`);
  const press = (tab: Page, label: string): Promise<void> => tab.evaluate((name: string) =>
    document.querySelector<HTMLElement>(`[aria-label="${name}"]`)!.click(), label);
  await Promise.all(
    [press(page, `Reject ${first}/build`), press(late, `Approve ${first}/build`)]);
  const told = await Promise.all([page, late].map((tab) => tab.until("it is told", (id: string) =>
    [...document.querySelectorAll(".notice")].map((notice) => notice.textContent)
      .find((text) => text.includes(id)), `${first}/build`)));
  assert.deepEqual(told.map((text) => /(approved|rejected) before, by xaxa/.test(text!)).sort(),
    [false, true]);
  assert.deepEqual([...page.complaints(), ...late.complaints()], []);
  await page.close();
  await late.close();
});

test("Approvals says what to type when nobody is asked, and fits 320 pixels with a gate", {
  skip: noBrowser,
}, async () => {
  const page = await open("/approvals", 320);
  await page.until("it is empty", () => /hitl_message/.test(document.body.innerText));
  const run = await gated({ message: "M".repeat(400), approvers: ["a".repeat(60)], required: 1 });
  await page.find("button", `Approve ${run}/build`);
  assert.equal(await page.overflow(), 0);
  await page.close();
  await titan.cancel(run);
});

/** Puts a text into the field in focus, as a paste does. */
const paste = (page: Page, text: string): Promise<void> => page.evaluate((typed: string) => {
  (document.activeElement as HTMLTextAreaElement).select();
  document.execCommand("insertText", false, typed);
}, text);

test("a service is deployed, scaled, rolled back and stopped from its page", {
  skip: noBrowser,
}, async () => {
  const server = "require('net').createServer().listen(process.env.TITAN_PORT)";
  const command = JSON.stringify([process.execPath, "-e", server]);
  const yaml = `name: web\njobs: [{id: web, type: service, command: ${command}}]\n`;
  const page = await open("/services");
  await page.focus("button", "Deploy a service…");
  await page.press("Enter");
  await page.focus("textbox", "Pipeline of the service");
  await paste(page, yaml.replace("command", "comand"));
  await page.click("button", "Deploy");
  await page.until("it says what is wrong", () =>
    /nothing to do.*\n.*comand/.test(
      document.querySelector("dialog [role=alert]")?.textContent ?? ""));
  await page.focus("textbox", "Pipeline of the service");
  await paste(page, yaml);
  await page.focus("button", "Deploy");
  await page.press("Enter");
  await page.gone("dialog", /Deploy/);
  await page.until("it is ready", () => /ready/.test(document.body.innerText));
  const back = await page.find("button", "Roll back web");
  assert.equal(back.states["disabled"], true, "there is no version before the first one");
  await page.click("button", "One replica more of web");
  await page.until("there are two", () => /2 replicas/.test(document.body.innerText));
  await page.click("link", "web");
  await page.find("heading", "web");
  const second = { id: "web", type: "service", command: [process.execPath, "-e", `${server};`] };
  await titan.submit(definePipeline({ name: "web", jobs: [second] }, { file: "test" }),
    { deploy: true });
  await page.until("the second is shown", () => /version 2/.test(document.body.innerText));
  await page.focus("button", "Roll back web");
  await page.press("Enter");
  const ask = async (path: string): Promise<any> =>
    (await fetch(`${scene.url}/api/v1/${path}`)).json();
  await eventually("the first is back", async () => {
    const [{ run, version, state }] = await ask("services");
    const [{ command }] = (await ask(`runs/${run}/definition`)).jobs;
    return command[2] === server && version === 3 && state === "READY";
  });
  await page.until("it is shown", () => /version 3/.test(document.body.innerText));
  // With keys: the rows move while the second one ends, and a click could miss.
  for (const name of ["Stop web…", "Stop web for good"]) {
    await page.focus("button", name);
    await page.press("Enter");
  }
  await page.until("it has stopped", () => /stopped/.test(document.body.innerText));
  await eventually("both have ended", async () =>
    (await titan.services()).every(({ status }) => status === "COMPLETED"));
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("a worker of a pool is started and retired with keys alone", { skip: noBrowser }, async () => {
  const page = await open("/");
  await page.focus("button", "Launch a worker in pool spare");
  await page.press("Enter");
  const { name } = await page.find("button", /^Retire /);
  await page.find("list", /^Tags of spare/);
  await page.focus("button", name);
  await page.press("Enter");
  await page.find("dialog", /^Retire /);
  await page.press("Tab");
  await page.press("Enter");
  await page.gone("button", name);
  await eventually("it has ended", async () => (await titan.workers()).length === 1);
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("an agent run shows its tree and its brakes, and its budget is raised there", {
  skip: noBrowser,
}, async () => {
  const { run } = await titan.submit({
    name: "dig", agent: { id: "dig-1", budget: { jobs: 9, tokens: 50 } },
    jobs: [{ id: "plan", run: "sleep 60" }, { id: "read", needs: "plan", run: "true" }],
  });
  const page = await open("/agents");
  await page.click("link", "dig-1");
  await page.find("heading", "dig-1");
  await page.until("the brakes are there", () => /2 of 9/.test(document.body.innerText));
  await page.find("link", "plan");
  await page.focus("textbox", "More jobs");
  await page.type("4");
  await page.press("Enter");
  await page.until("there is more", () => /2 of 13/.test(document.body.innerText));
  await page.click("button", "Cancel…");
  await page.click("button", "Cancel all of dig-1");
  await page.until("it is over", () => /cancelled/.test(document.body.innerText));
  await eventually("the end", async () => (await titan.status(run)).run.status === "CANCELLED");
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("the steps of an agent's job are shown, and a new run begins behind one of them", {
  skip: noBrowser,
}, async () => {
  const step = `'${process.execPath}' '${MAIN}' step`;
  const { run } = await titan.submit({
    name: "digs", agent: { id: "dig-2", budget: { steps: 9 } },
    jobs: [{ id: "plan", run: `${step} think -- echo '["moon"]' && ${step} act -- true` }],
  });
  await titan.wait(run);
  const page = await open("/agents/dig-2");
  await page.focus("link", "Steps of plan");
  await page.press("Enter");
  await page.until("the result is there", () =>
    /think#1done.*moon/.test(document.querySelector(".step-result")?.closest("tr")?.textContent ??
      ""));
  await page.focus("button", "Fork behind think#1…");
  await page.press("Enter");
  await page.focus("textbox", "Another result for think#1, as JSON");
  await page.type("{");
  await page.click("button", "Fork");
  await page.until("it says what is wrong", () =>
    /is no JSON/.test(document.querySelector("dialog [role=alert]")?.textContent ?? ""));
  await page.focus("textbox", "Another result for think#1, as JSON");
  await page.press("Control+a");
  await page.type("7");
  await page.focus("button", "Fork");
  await page.press("Enter");
  const made = await page.until("the new run is shown", (old: string) => {
    const [, id] = /^\/runs\/(.+)$/.exec(location.pathname) ?? [];
    return id === old ? undefined : id;
  }, run);
  await titan.wait(made!);
  const [taken] = await titan.steps(made!);
  assert.deepEqual([taken!.name, String(taken!.result)], ["think", "7"]);
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("a key of the store is found by its prefix, and overwritten after a second word", {
  skip: noBrowser,
}, async () => {
  await titan.kv("SET", "note:a", NOTE);
  await titan.kv("SADD", "note:b", "x", "y");
  await titan.kv("SET", "other", "1");
  await titan.kv("SET", "titan:own", "1");
  await titan.kv("SET", "zebra", "1");
  const page = await open("/store");
  await page.find("link", /zebra/);
  assert.match(await page.evaluate(() =>
    [...document.querySelectorAll(".store-keys .mono")].at(-1)!.textContent), /^titan:/);
  await page.navigate(`${scene.url}/store?prefix=note`);
  await page.find("link", /note:b/);
  assert.equal((await page.all("link", /other/)).length, 0);
  // The pieces of drafts are many, and say nothing to a person who has not asked for them.
  await titan.kv("SET", "titan:draft-parts:shop:x.0", "text");
  await page.navigate(`${scene.url}/store`);
  await page.find("link", /other/);
  await page.until("it says so", () => /1 piece of drafts/.test(document.body.innerText));
  assert.equal((await page.all("link", /titan:draft-parts/)).length, 0);
  await page.navigate(`${scene.url}/store?prefix=titan%3Adraft-p`);
  await page.find("link", /titan:draft-parts:shop:x/);
  await page.navigate(`${scene.url}/store?prefix=note`);
  await page.click("link", /note:a/);
  await page.focus("textbox", "value of note:a");
  await page.press("Control+a");
  await page.type("new");
  await page.click("button", "Write…");
  assert.equal(await titan.kv("GET", "note:a"), NOTE);
  await page.click("button", "Overwrite note:a");
  await eventually("it is written", async () => (await titan.kv("GET", "note:a")) === "new");
  await page.gone("button", "Overwrite note:a"); // the page knows, too
  // Somebody else writes while a person does: nothing of theirs is lost. A time to live goes on.
  await titan.kv("SET", "note:a", "new", "PX", "500000");
  await page.until("it will end", () => /min left/.test(document.body.innerText));
  const write = async (text: string): Promise<void> => {
    await page.focus("textbox", "value of note:a");
    await page.press("Control+a");
    await page.type(text);
    await page.click("button", "Write…");
    await page.click("button", "Overwrite note:a");
  };
  await write("third");
  await eventually("it is written", async () => (await titan.kv("GET", "note:a")) === "third");
  assert.ok(Number(await titan.kv("PTTL", "note:a")) > 400_000);
  await page.gone("button", "Overwrite note:a");
  await page.focus("textbox", "value of note:a");
  await page.press("End");
  await page.type("!");
  await titan.kv("SET", "note:a", "of somebody else");
  await page.click("button", "Write…");
  await page.click("button", "Overwrite note:a");
  await page.until("it is told", () =>
    /has another value by now/.test(document.querySelector(".notice-problem")?.textContent ?? ""));
  assert.equal(await titan.kv("GET", "note:a"), "of somebody else");
  await page.click("button", "Undo");
  await page.focus("button", "Delete note:a…");
  await page.press("Enter");
  await page.focus("button", "Delete");
  await page.press("Enter");
  await page.gone("link", /note:a/);
  await eventually("it is gone", async () => (await titan.kv("GET", "note:a")) === null);
  // What is not there is told in words, and is no error in the console.
  for (const [path, words] of [
    ["/store?key=nobody", 'There is no key "nobody"'],
    ["/constructor?draft=nobody", "Cannot open the draft nobody: it is not there any more"],
  ] as const) {
    await page.navigate(scene.url + path);
    await page.until(words, (text: string) => document.body.innerText.includes(text), words);
  }
  // A browser tells of every refusal.
  assert.deepEqual(page.complaints().filter((text) => !/ 409 /.test(text)), []);
  await page.close();
});

test("what is typed while a value is being written stays, and can be written next", {
  skip: noBrowser,
}, async () => {
  await titan.kv("SET", "slow", "one");
  const page = await open("/store?prefix=slow&key=slow");
  await page.focus("textbox", "value of slow");
  await page.evaluate(() => {
    const own = window as unknown as { held?: () => void };
    const real = window.fetch;
    window.fetch = async (...args) => {
      const isWrite = args[1]?.method === "POST" && own.held === undefined;
      const answer = await real(...args);
      // Written, and the page does not know yet.
      if (isWrite) await new Promise<void>((resolve) => (own.held = resolve));
      return answer;
    };
  });
  await page.press("Control+a");
  await page.type("two");
  await page.click("button", "Write…");
  await page.click("button", "Overwrite slow");
  await eventually("it is written", async () => (await titan.kv("GET", "slow")) === "two");
  await page.focus("textbox", "value of slow");
  await page.press("End");
  await page.type(" and more");
  await page.evaluate(() => (window as unknown as { held: () => void }).held());
  await page.until("the page has the answer",
    () => /slow is written/.test(document.body.innerText));
  assert.equal(await page.evaluate(() => document.querySelector("textarea")!.value),
    "two and more");
  await page.click("button", "Write…");
  await page.click("button", "Overwrite slow");
  await eventually("it is written, too", async () =>
    (await titan.kv("GET", "slow")) === "two and more");
  await page.gone("button", "Overwrite slow");
  assert.deepEqual(page.complaints(), []);
  await page.close();
});

test("in a narrow window a row is lines whose cells say what they are; a value is above the keys", {
  skip: noBrowser,
}, async () => {
  const { run } = await titan.submit({
    name: "thin", agent: { id: "thin-1" },
    jobs: [{ id: "a-service-with-a-long-name", type: "service", run: "exec sleep 600" },
      { id: "plan", run: "true" }],
  });
  for (let at = 0; at < 40; at++) await titan.kv("SET", `thin:${at}`, "x");
  const page = await open("/services", 390);
  const tooWide = (): Promise<number[]> => page.evaluate(() =>
    [...document.querySelectorAll(".scrolls")].map((each) => each.scrollWidth - each.clientWidth));
  await page.find("rowheader", "a-service-with-a-long-name");
  await page.find("cell", /^Restarts 0/);
  assert.deepEqual(new Set(await tooWide()), new Set([0]));
  await page.navigate(`${scene.url}/agents/thin-1`);
  await page.find("cell", /^Tokens 0/);
  assert.deepEqual(new Set(await tooWide()), new Set([0]));
  await page.navigate(`${scene.url}/store?prefix=thin&key=thin%3A7`);
  await page.find("textbox", "value of thin:7");
  assert.ok(await page.evaluate(() =>
    document.querySelector(".store-value")!.getBoundingClientRect().bottom < innerHeight));
  await page.resize({ width: 1280, height: 800 });
  await page.until("they are side by side, and the value stays", async () => {
    scrollTo(0, 1e6);
    await new Promise((drawn) => requestAnimationFrame(drawn));
    const [keys, own] = [".store-keys", ".store-value"].map((name) =>
      document.querySelector(name)!.getBoundingClientRect());
    return own!.left > keys!.right && own!.top >= 52 && own!.top < 100;
  });
  await titan.cancel(run);
  await page.close();
});
