/**
 * Lesson 20: all tools, in the order in which clients see them: those of the first Titan, by their
 * names and parameters, and then those that it lacked.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { agentBudget } from "./budget.ts";
import { explainPending, listServices, listWorkers, pingMaster } from "./cluster.ts";
import { approveGate, listGates, rejectGate } from "./gates.ts";
import { jobLogs } from "./logs.ts";
import { cancelRun, getRun, jobStatus, listRuns, retryRun } from "./runs.ts";
import { deployScript, getArtifact, storeGet, storePut } from "./store.ts";
import { submitDag, submitSingle, submitYaml, validatePipeline } from "./submit.ts";
import type { Tool } from "./tool.ts";
import { waitRun } from "./wait.ts";

export const TOOLS: readonly Tool[] = [
  pingMaster, submitSingle, submitDag, submitYaml, jobStatus, jobLogs, approveGate, rejectGate,
  storeGet, storePut, deployScript,
  listRuns, getRun, waitRun, cancelRun, retryRun, listGates, listWorkers, listServices, getArtifact,
  validatePipeline, explainPending, agentBudget,
];
