/** The research agent: it adds jobs to its run, and waits for them without a slot. */
import { show } from "../stage.ts";

await show("examples/research/research.yaml", "research");
