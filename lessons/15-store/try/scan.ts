/** Walks over a table in small steps, while somebody removes entries between the steps: from the front, and as the store does. */
import { nodeHost } from "#host";
import { ReplyBuffer, Engine } from "#store";

const KEYS = ["ann", "bob", "cid", "dan", "eve", "fay"];
/** Who goes after which step. */
const LEAVES = [["ann"], ["fay"]];

// The table of every textbook: what is removed leaves its place to the last one.
const table = [...KEYS];
const met: string[] = [];
for (let at = 0, step = 0; at < table.length; step++) {
  met.push(...table.slice(at, at + 2));
  at += 2;
  for (const name of LEAVES[step] ?? []) {
    const last = table.pop()!;
    if (last !== name) table[table.indexOf(name)] = last;
  }
}
report("from the front", met);

const store = new Engine({ host: nodeHost() });
const out = new ReplyBuffer();
const session = store.session({ out });
const ask = (...argv: string[]): unknown => {
  store.execute(session, argv);
  return out.take()[0];
};
for (const name of KEYS) ask("SET", name, "here");
const found: string[] = [];
let cursor = "0";
for (let step = 0; ; step++) {
  const [next, keys] = ask("SCAN", cursor, "COUNT", "2") as [string, string[]];
  console.log(`  SCAN ${cursor} COUNT 2: ${keys.join(", ") || "none"}; go on at ${next}`);
  found.push(...keys);
  cursor = next;
  if (cursor === "0") break;
  for (const name of LEAVES[step] ?? []) {
    ask("DEL", name);
    console.log(`  DEL ${name}`);
  }
}
report("from the end", found);
store.close();

function report(how: string, names: readonly string[]): void {
  const stayed = KEYS.filter((name) => !LEAVES.flat().includes(name));
  const missed = stayed.filter((name) => !names.includes(name));
  console.log(`${how}: ${names.join(", ")}; missed of those who stayed: ${missed.join(", ") || "nobody"}`);
}
