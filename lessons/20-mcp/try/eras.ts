/** One pipe, two eras: what goes over it, shortened. */
import { modernMeta, Stage, type Json } from "../stage.ts";

const short = (message: Json): string => {
  const text = JSON.stringify(message).replaceAll("io.modelcontextprotocol/", "…/");
  return text.length <= 150 ? text : `${text.slice(0, 147)}…`;
};

await Stage.run(async (stage) => {
  const pipe = stage.pipe();
  const meta = modernMeta();
  const requests: Json[] = [
    { id: 1, method: "tools/list" },
    { id: 2, method: "server/discover", params: { _meta: meta } },
    { id: 3, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x" } } },
    { id: 4, method: "prompts/list" },
    { id: 5, method: "prompts/list", params: { _meta: meta } },
    { id: 6, method: "prompts/list", params: { _meta: modernMeta({}, "2031-01-01") } },
    { id: 7, method: "tools/call", params: { name: "launch_rocket", _meta: meta } },
  ];
  for (const request of requests) {
    console.log(`▶ ${short(request)}`);
    pipe.send({ jsonrpc: "2.0", ...request });
    await stage.pass(50);
    const { jsonrpc: _, ...response } = pipe.seen.at(-1)!;
    console.log(`◀ ${short(response)}`);
  }
});
