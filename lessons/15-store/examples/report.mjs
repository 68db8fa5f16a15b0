import { connectStore } from "titan-orchestrator/store";

const store = await connectStore();
const run = process.env.TITAN_RUN;
const [read, taken] = await Promise.all([store.call("GET", `${run}:read`), store.call("SCARD", `${run}:taken`)]);
console.log(`${read} pages read, ${taken} different ones`);
store.close();
