/** `learn trace`: lines of several programs as one story, in lanes and as a picture. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseMarkdown } from "../scripts/learn/markdown.ts";
import { drawLanes } from "../scripts/learn/trace/lanes.ts";
import { storyOf } from "../scripts/learn/trace/story.ts";
import { drawSvg } from "../scripts/learn/trace/svg.ts";
import { factLine } from "../src/cli/commands/replay.ts";

const ROOT = join(import.meta.dirname, "..");

/** Pictures in lessons, and the command whose transcript in the same lesson they show. */
const PICTURES: readonly (readonly [lesson: string, picture: string, script: string])[] = [
  ["10-master", "order.svg", "10/order"],
  ["12-membership", "freeze.svg", "12/freeze"],
  ["12-membership", "stall.svg", "12/stall"],
  ["22-simulation", "bank.svg", "22/bank"],
];

const FREEZE = `  0.008 s  master  report#1 is RUNNING on w1
  2.000 s          ── w1 is frozen
  9.000 s          ── w1 thaws
  9.000 s  w1      report#1 ends: "<made> & more"
no line of the story
 12.498 s  master  the result of report: "made by w2"`.split("\n");

test("storyOf() reads lines of a stage: lanes, messages, faults, and no other lines", () => {
  const { lanes, steps } = storyOf(FREEZE);
  assert.deepEqual(lanes, ["master", "w1"]);
  assert.deepEqual(steps.map(({ kind, lane, to }) => [kind, lane, to]), [
    ["step", "master", "w1"], ["fault", undefined, undefined], ["fault", undefined, undefined],
    ["step", "w1", "master"], ["step", "master", undefined],
  ]);
});

test("storyOf() reads a simulated life, behind its plan, and what titan replay prints", () => {
  const life = storyOf(["t=103    c1 submits k1", "     63.6  w3 -> HELLO",
    "     78.4  w3 <- WELCOME, number 1", "   3692.0  c2 submits k2",
    "   3704.7  log 3 RunSubmitted k2-gfmm", "   3705.3  c2 has the acknowledgement that k2",
    "   5296.0  FAULT power cut of m", "   5720.0  BROKEN no-crash: m died"]);
  assert.deepEqual(life.steps.map(({ kind, lane, to, text }) => [kind, lane, to, text]), [
    ["step", "w3", "master", "HELLO"], ["step", "master", "w3", "WELCOME, number 1"],
    ["step", "c2", "master", "submits k2"], ["step", "master", undefined, "3 RunSubmitted k2-gfmm"],
    ["step", "master", "c2", "has the acknowledgement that k2"],
    ["fault", undefined, undefined, "power cut of m"],
    ["broken", undefined, undefined, "no-crash: m died"],
  ]);
  const at = new Date(2026, 2, 1, 14, 5, 9, 120).getTime();
  const text = "#12 JobStarted r-1/build#1 on big-1 (number 2)";
  const changes = [{ what: "job r-1/build", before: "PENDING", after: "RUNNING on big-2" }];
  const replay = storyOf([factLine({ seq: 12, at, text, changes }, "r-1")]);
  assert.deepEqual(replay.steps.map((step) => [step.at, step.lane, step.to, step.text]),
    [["14:05:09.120", "master", "big-1", "JobStarted r-1/build#1 on big-1 (number 2)"]]);
});

test("drawLanes() draws an arrow from lane to lane, and a rule for a fault", () => {
  assert.deepEqual(drawLanes(storyOf(FREEZE)).slice(0, 5), [
    "          master        w1",
    " 0.008 s  ●────────────▶│             report#1 is RUNNING on w1",
    " 2.000 s  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  w1 is frozen",
    " 9.000 s  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  w1 thaws",
    " 9.000 s  │◀────────────●             report#1 ends: \"<made> & more\"",
  ]);
});

test("drawSvg() escapes every text, needs nothing else, and dashes a lane that is frozen", () => {
  const svg = drawSvg(storyOf(FREEZE), "a <title>");
  assert.doesNotMatch(svg, /<made>|& more|href|url\(|<script/);
  assert.match(svg, /&#60;made&#62; &#38; more/);
  const lane = /<line class="(lane[^"]*)" x1="(\d+)"[^>]* y1="(\d+)" y2="(\d+)"/g;
  const lanes = [...svg.matchAll(lane)];
  assert.deepEqual(lanes.map(([, style, x, from, to]) => [style, x, from, to]), [
    ["lane", "144", "34", "180"],
    ["lane", "264", "34", "83"], ["lane off", "264", "83", "109"], ["lane", "264", "109", "180"],
  ]);
});

test("the pictures in the lessons are those of the transcripts beside them", () => {
  for (const [lesson, picture, script] of PICTURES) {
    const text = readFileSync(join(ROOT, "lessons", lesson, "README.md"), "utf8");
    const fence = parseMarkdown(text).fences
      .find(({ lines }) => lines[0] === `$ npm run -s try ${script}`);
    assert.ok(fence, `${lesson} shows what ${script} prints`);
    assert.match(text, new RegExp(`^!\\[[^\\]]{20,}\\]\\(${picture}\\)$`, "m"));
    const svg = drawSvg(storyOf(fence.lines), `What happened in ${script}`);
    const path = join(ROOT, "lessons", lesson, picture);
    if (process.env["TITAN_RECORD"]) writeFileSync(path, svg);
    assert.equal(readFileSync(path, "utf8"), svg, `${lesson}/${picture}: TITAN_RECORD=1 draws it`);
  }
});
