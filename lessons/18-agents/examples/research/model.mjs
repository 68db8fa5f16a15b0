/** The recorded model, or a real one if OPENAI_API_KEY or OPENAI_BASE_URL is set. */
import { chooseModel } from "titan-orchestrator/agent";

export const model = await chooseModel({ script: "script.jsonl", price: { in: 0.4, out: 1.6 } });
