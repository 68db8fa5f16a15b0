/** Researches one topic in the library: searches, reads, and writes notes. One of these runs for each topic. */
import { readdir, readFile } from "node:fs/promises";
import { job } from "titan-orchestrator/job";
import { agent, tool } from "titan-orchestrator/agent";
import { model } from "./model.mjs";

const topic = process.argv[2];
const names = (await readdir("library")).filter((name) => name.endsWith(".txt")).sort();

// #region tools
const search = tool({
  name: "search",
  description: "Documents of the library that have these words, best first, with their first lines.",
  effect: "read",
  parameters: { type: "object", properties: { words: { type: "string" } }, required: ["words"] },
  run: async ({ words }) => {
    const wanted = words.toLowerCase().match(/[a-z0-9]{3,}/g) ?? [];
    const found = [];
    for (const document of names) {
      const text = (await readFile(`library/${document}`, "utf8")).toLowerCase();
      const hits = wanted.filter((word) => text.includes(word)).length;
      if (hits > 0) found.push({ document, hits, about: text.split("\n")[0] });
    }
    return found.sort((a, b) => b.hits - a.hits).slice(0, 3);
  },
});

const read = tool({
  name: "read",
  description: "A document of the library, whole.",
  effect: "read",
  parameters: {
    type: "object",
    properties: { document: { type: "string", enum: names } },
    required: ["document"],
  },
  run: ({ document }) => readFile(`library/${document}`, "utf8"),
});
// #endregion

const researcher = agent({
  model,
  name: "dig",
  system: "You research one topic in a small library. Search, read what fits, then write notes of a few " +
    "sentences, with the names of the documents. Say what the library does not tell.",
  tools: [search, read],
  budget: { turns: 8 },
});
const { answer: text, usage } = await researcher.run(job, `Topic: ${topic}`);
await job.output({ topic, text, tokens: usage.tokensIn + usage.tokensOut });
