/**
 * Lesson 20: what only a person may decide.
 *
 *     --allow-approve        the person who started this server has decided already
 *     the client can ask     the question is shown to its person, and their word counts
 *     it cannot              the tool refuses, with the command that the person types
 *
 * The model itself never decides: it has read the text of the very job that asks.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import type { Asking, Said } from "../caller.ts";
import { ToolProblem, type ToolContext } from "./tool.ts";

// #region person
/**
 * What the person has filled in. @throws {ToolProblem} they have not agreed, or nobody was asked
 */
export async function agreed(
  asking: Asking, command: string, { caller, allowApprove, master }: ToolContext,
): Promise<Said["content"]> {
  if (allowApprove) return {};
  if (caller.ask === undefined) {
    const typed = `titan ${command}${master === "" ? "" : ` --master ${master}`}`;
    throw new ToolProblem("Cannot decide this without a person, and this client cannot ask one.\n" +
      `Next: ask the person to type: ${typed}`);
  }
  const { action, content } = await caller.ask(asking);
  if (action === "accept") return content;
  const what = action === "decline" ? "The person has declined" : "The person has not decided";
  throw new ToolProblem(`${what}: nothing was changed.\n` +
    "Next: ask them what they want instead. Do not call this again unless they say so.");
}
// #endregion
