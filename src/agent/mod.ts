/**
 * Lesson 18: agents: a model that works in a loop, as part of a job, and whose calls are paid once.
 *
 *     import { job } from "titan-orchestrator/job";
 *     import { agent, openAiCompatible, tool } from "titan-orchestrator/agent";
 *
 *     const model = openAiCompatible({ baseUrl, model: "…", apiKey });
 *     const { answer } = await agent({ model, tools: [readFile] }).run(job, "What is broken?");
 *
 *     loop.ts             the loop: a reply, its calls, their results, until an answer or a brake
 *     calls.ts            one reply's calls of tools: checked, asked about, carried out
 *     tool.ts             what a tool is
 *     schema.ts           what its arguments must look like
 *     job.ts              what all of this needs of a job: steps, questions, jobs of the run
 *     models/             model.ts                        what a model is, and what it costs
 *                         scripted.ts                     recorded replies, without a network
 *                         open-ai.ts · open-ai-wire.ts    a provider: how it is asked; its words
 *                         sse.ts                          pieces of a reply, as they come
 *                         choose.ts                       one of the two, by the environment
 *
 * Nothing here is durable. That a reply was paid, and what it was, is a fact in the master's log
 * by way of `job.step`; a question to a person and a job that an agent adds are, too.
 *
 * Invariant: every failure of a model, a tool or a person ends in words, after a bounded number of
 * tries.
 * Left out: memory between runs, prompts as data, pictures and sound.
 * Test: test/18-agents.test.ts, test/18-agents.models.test.ts
 */
export {
  agent, AgentStopped, MAX_BAD_REPLIES, MAX_TOKENS, MAX_TURNS,
  type Agent, type AgentAnswer, type AgentBudget, type AgentOptions, type StopReason,
} from "./loop.ts";
export { tool, type Tool, type ToolContext } from "./tool.ts";
export { MAX_RESULT_BYTES } from "./calls.ts";
export type { Schema } from "./schema.ts";
export type { AgentJob, Answer, Effect, Question } from "./job.ts";
export {
  MAX_CALLS, MAX_REPLY_BYTES, ModelError,
  type Message, type Model, type ModelErrorCode, type ModelReply, type ModelRequest, type Price,
  type ToolCall, type Usage,
} from "./models/model.ts";
export { scripted, type ScriptOptions } from "./models/scripted.ts";
export { openAiCompatible, type OpenAiOptions } from "./models/open-ai.ts";
export { chooseModel, type ChooseOptions } from "./models/choose.ts";
