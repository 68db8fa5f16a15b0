/** Commands that people will look for and that a later version has. Better a sentence than "unknown command". */
import { UsageError } from "../exit.ts";

export const LATER: readonly string[] = ["services", "deploy", "stop", "artifact", "mcp"];

export function refuseLater(name: string): never {
  throw new UsageError(`Cannot run titan ${name}: it is not in this version yet`, "titan help lists what is");
}
