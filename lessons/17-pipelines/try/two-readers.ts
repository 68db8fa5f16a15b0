/**
 * Chapter 17, the problem: one file, two readers that both guess, two pipelines.
 *
 * Each is thirty lines that "read YAML": one by the rules of 2005 (version 1.1) in an editor where a tab is
 * eight columns wide, one by the rules of 2009 (1.2) where it is four. Neither reports anything.
 */
const file = [
  "name: nightly",
  "project: no",
  "start: 22:30",
  "build: 1_000",
  "jobs:",
  "    train:",
  "        retries: 012",
  "\tnotify:",
  "\t    run: mail.sh",
].join("\n");

interface Rules {
  readonly version: "1.1" | "1.2";
  readonly tab: number;
}

function guess(text: string, { version }: Rules): unknown {
  if (version === "1.1") {
    if (/^(?:yes|no|on|off)$/.test(text)) return text === "yes" || text === "on";
    if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
    if (/^\d+(?::[0-5]\d)+$/.test(text)) return text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
    if (/^[\d_]+$/.test(text)) return Number(text.replaceAll("_", ""));
  }
  return /^\d+$/.test(text) ? Number(text) : text;
}

function read(text: string, rules: Rules): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  const open = [{ column: -1, map: root }];
  for (const line of text.split("\n")) {
    const wide = line.replaceAll("\t", " ".repeat(rules.tab));
    const column = wide.search(/\S/);
    const [key = "", value = ""] = wide.trim().split(/:(?: |$)/);
    while (open.at(-1)!.column >= column) open.pop();
    const child = {};
    open.at(-1)!.map[key] = value === "" ? child : guess(value, rules);
    if (value === "") open.push({ column, map: child });
  }
  return root;
}

console.log(file.replaceAll("\t", "→"));
for (const rules of [{ version: "1.1", tab: 8 }, { version: "1.2", tab: 4 }] as const) {
  console.log(`\nYAML ${rules.version}, tabs of ${rules.tab}:`);
  for (const [key, value] of Object.entries(read(file, rules))) console.log(`  ${key.padEnd(8)} ${JSON.stringify(value)}`);
}
