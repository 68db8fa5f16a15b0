/** Plans, lets researchers work, looks for gaps and deepens up to three times, and writes the report. */
import { job } from "titan-orchestrator/job";
import { agent } from "titan-orchestrator/agent";
import { model } from "./model.mjs";

const question = process.argv[2];
const ROUNDS = 3;

// #region plan
const topics = { type: "array", items: { type: "string" }, minItems: 1, maxItems: 4 };
const planner = agent({
  model,
  name: "plan",
  system: "You plan research. Split the question into at most four topics that can be researched apart.",
  answer: { type: "object", properties: { topics }, required: ["topics"] },
});
const plan = await planner.run(job, question);
job.log(`topics: ${plan.answer.topics.join("; ")}`);
// #endregion

const evaluator = agent({
  model,
  system: "You judge research notes. Say SYNTHESIZE if they answer the question, else DEEPEN and name up to two gaps.",
  answer: {
    type: "object",
    properties: {
      decision: { type: "string", enum: ["SYNTHESIZE", "DEEPEN"] },
      gaps: { type: "array", items: { type: "string" }, maxItems: 2 },
    },
    required: ["decision"],
  },
});

// #region rounds
const notes = [];
let open = plan.answer.topics;
for (let round = 1; round <= ROUNDS && open.length > 0; round++) {
  const jobs = open.map((topic, at) => (
    { id: `dig-${round}-${at + 1}`, file: "researcher.mjs", args: [topic], retries: 3 }
  ));
  const diggers = await job.spawn(`round-${round}`, jobs, { stage: `ITER${round}` });
  for (const { id, status, result, failure } of await job.settled(diggers)) {
    if (status === "COMPLETED") notes.push(result);
    else job.log(`${id} is ${status}: ${failure}`); // the others have found something
  }
  const { answer } = await evaluator.run(job, asked(), { name: `eval-${round}` });
  job.log(`round ${round}: ${answer.decision}${answer.gaps?.length ? `: ${answer.gaps.join("; ")}` : ""}`);
  open = answer.decision === "DEEPEN" ? (answer.gaps ?? []) : [];
}
// #endregion

const writer = agent({
  model,
  name: "synth",
  system: "You write reports in Markdown from research notes, and use nothing but the notes. Name the documents.",
});
const { answer: report } = await writer.run(job, asked());
await job.artifact.put("report.md", report);
await job.output({ question, topics: notes.map(({ topic }) => topic), report });

function asked() {
  const texts = notes.map(({ topic, text }) => `## ${topic}\n\n${text}`);
  return [`Question: ${question}`, ...texts].join("\n\n");
}
