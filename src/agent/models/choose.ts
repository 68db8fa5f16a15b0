/**
 * Lesson 18: a recorded model or a real one, by the environment, so that an example runs offline by
 * one command and with a provider by the same one.
 *
 *     OPENAI_API_KEY or OPENAI_BASE_URL is set  ─▶ that provider; OPENAI_MODEL is the model
 *     neither                                   ─▶ the script
 *
 * Test: test/18-agents.models.test.ts
 */
import { nodeHost, type Host } from "#host";
import type { Model, Price } from "./model.ts";
import { openAiCompatible } from "./open-ai.ts";
import { scripted } from "./scripted.ts";

const OPENAI_URL = "https://api.openai.com/v1";
/** Small, cheap, and able to call tools. */
const OPENAI_MODEL = "gpt-4.1-mini";

export interface ChooseOptions {
  /** A file of recorded replies. */
  readonly script: string;
  /** Of the script; of a provider, OPENAI_PRICE="IN,OUT" in dollars for a million tokens. */
  readonly price?: Price;
  /** Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly storage?: Pick<Host["storage"], "readFile">;
}

/** @throws {TypeError} the script or a setting cannot be used */
export async function chooseModel(options: ChooseOptions): Promise<Model> {
  const { script, price, env = process.env, storage = nodeHost().storage } = options;
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl, OPENAI_MODEL: model } = env;
  if (apiKey || baseUrl) {
    return openAiCompatible({
      baseUrl: baseUrl || OPENAI_URL,
      model: model || OPENAI_MODEL,
      ...(apiKey && { apiKey }),
      price: readPrice(env["OPENAI_PRICE"]),
    });
  }
  const text = (await storage.readFile(script)).toString();
  return scripted(text, price === undefined ? {} : { price });
}

function readPrice(text: string | undefined): Price | undefined {
  if (text === undefined || text === "") return undefined;
  const [into, out, ...more] = text.split(",").map(Number);
  if (more.length === 0 && into! >= 0 && out! >= 0) return { in: into!, out: out! };
  const form = '"IN,OUT", dollars for a million tokens';
  throw new TypeError(`Cannot use OPENAI_PRICE: it must be ${form}, found ${JSON.stringify(text)}`);
}
