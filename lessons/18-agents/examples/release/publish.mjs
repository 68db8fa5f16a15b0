/** Writes release notes from the changes, and publishes them if a person says so. */
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { job } from "titan-orchestrator/job";
import { agent, chooseModel, tool } from "titan-orchestrator/agent";

const model = await chooseModel({ script: "script.jsonl", price: { in: 0.4, out: 1.6 } });
const text = { type: "string", minLength: 1 };

const changes = tool({
  name: "changes",
  description: "The changes since the last release, newest first. The last release was 1.4.2.",
  effect: "read",
  parameters: { type: "object" },
  run: () => readFile("changes.txt", "utf8"),
});

// #region publish
const publish = tool({
  name: "publish",
  description: "Publishes a release. This cannot be taken back.",
  effect: "once",
  dangerous: { timeout: "2d" },
  parameters: {
    type: "object",
    properties: { version: text, channel: { type: "string", enum: ["beta", "stable"] }, notes: text },
    required: ["version", "channel", "notes"],
  },
  run: async (release, { idempotencyKey }) => {
    const line = JSON.stringify({ ...release, key: idempotencyKey });
    await appendFile(join(process.env.TITAN_SHARED, "published.jsonl"), `${line}\n`);
    return `published ${release.version} on ${release.channel}`;
  },
});
// #endregion

const releaser = agent({
  model,
  name: "release",
  tools: [changes, publish],
  system: "You release a library. Read the changes, choose the version by semantic versioning, write short notes " +
    "for users, and publish on the channel stable. Then say in one sentence what was published, or why it was not.",
});
const { answer } = await releaser.run(job, "Release what is there.");
await job.output({ answer });
