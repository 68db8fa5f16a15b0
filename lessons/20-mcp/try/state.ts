/** A client that tries what a client can try with the state that it carries. */
import { modernMeta, Stage, type Json } from "../stage.ts";

const YAML = "name: research\nagent: {budget: {usd: 1}}\njobs:\n  - {id: a, run: sleep 7200}\n";

await Stage.run(async (stage) => {
  const pipe = stage.pipe();
  pipe.meta = modernMeta({ elicitation: {} });
  const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
  const ask = async (add_usd: number, more: Json = {}): Promise<Json> => {
    const params = { name: "agent_budget", arguments: { agent_run_id: run, add_usd }, ...more };
    const { result, error } = await pipe.ask("tools/call", params);
    return result ?? { refused: error.message.replace(/; call again.*/, "") };
  };
  const { inputRequests, requestState } = await ask(5);
  console.log(`the person is asked: ${inputRequests.person.params.message}`);
  const inputResponses = { person: { action: "accept", content: {} } };
  const attempt = async (what: string, usd: number, state: string): Promise<void> => {
    const { refused, structuredContent } = await ask(usd, { requestState: state, inputResponses });
    console.log(`${what.padEnd(28)} ${refused ?? `the limit is $${structuredContent.limits.usd}`}`);
  };
  const [last, other] = requestState.endsWith("A") ? ["A", "B"] : [requestState.at(-1), "A"];
  await attempt("one letter changed", 5, `${requestState.slice(0, -1)}${last === other ? "C" : other}`);
  await attempt("shown for $500", 500, requestState);
  await attempt("as it was given", 5, requestState);
  await attempt("shown again", 5, requestState);
  const { requestState: old } = await ask(5);
  await stage.pass(11 * 60_000);
  await attempt("shown eleven minutes later", 5, old);
});
