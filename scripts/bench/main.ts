/**
 * `npm run bench`: runs the groups in turn and prints one table (or, with --json, one JSON value).
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { agents } from "./agents.ts";
import { attack } from "./attack.ts";
import { codec, core, dag, framing, log } from "./bricks.ts";
import { cluster } from "./cluster.ts";
import { dashboards } from "./dashboards.ts";
import type { Options } from "./programs.ts";
import { project } from "./project.ts";
import { queue } from "./queue.ts";
import { restart } from "./restart.ts";
import { services } from "./services.ts";
import { store } from "./store.ts";
import { formatTable, verdict, type Row } from "./table.ts";

const GROUPS: Record<string, (options: Options) => Promise<Row[]>> = {
  framing, codec, log, core, dag, cluster, project, queue, restart, store, services, attack,
  agents, dashboards,
};

const values = optionsOf(process.argv.slice(2));
const wanted = values.only?.split(",") ?? Object.keys(GROUPS);
const unknown = wanted.filter((name) => GROUPS[name] === undefined);
if (unknown.length > 0) {
  console.error(
    `Cannot run benchmark ${unknown.join(", ")}: there are ${Object.keys(GROUPS).join(", ")}`,
  );
  process.exit(2);
}

const rows: Row[] = [];
for (const name of wanted) {
  process.stderr.write(`bench: ${name}\n`);
  rows.push(...(await GROUPS[name]!({ quick: values.quick ?? false })));
}
const machine = `Node ${process.version}, ${process.platform} ${process.arch}, ` +
  `${availableParallelism()} cores`;
if (values.json) {
  const judged = rows.map((row) => ({ ...row, verdict: verdict(row) }));
  const result = { machine, at: new Date().toISOString(), rows: judged };
  console.log(JSON.stringify(result, null, 2));
} else console.log(`${machine}\n\n${formatTable(rows)}`);
process.exit(0);

function optionsOf(args: string[]): { json?: boolean; quick?: boolean; only?: string } {
  try {
    return parseArgs({
      args,
      options: { json: { type: "boolean" }, quick: { type: "boolean" }, only: { type: "string" } },
    }).values;
  } catch (error) {
    const [why] = (error as Error).message.split(". ");
    console.error(`Cannot run the benchmark: ${why} (--only GROUP,…, --quick, --json)`);
    process.exit(2);
  }
}
