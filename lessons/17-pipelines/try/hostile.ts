/** Chapter 17: texts that were written to hurt a reader, and what each costs. */
import { parseYaml, YamlError } from "#yaml";

const laughs = ["a0: &a0 [ha, ha]"];
for (let i = 1; i < 30; i++) laughs.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
const chain = ["- &a0 [x]"];
for (let i = 1; i < 100_000; i++) chain.push(`- &a${i} [*a${i - 1}]`);

const texts: [name: string, text: string][] = [
  ["a billion laughs", laughs.join("\n")],
  ["five million [", "[".repeat(5_000_000)],
  ["aliases of aliases", chain.join("\n")],
  ["it contains itself", "a: &a [1, *a]"],
  ["four million words", `a: ${"x ".repeat(4_000_000)}`],
  ["the key __proto__", "__proto__: {admin: true}"],
];
for (const [name, text] of texts) {
  const start = performance.now();
  let result = "read";
  try {
    parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    result = `${error.code}: ${error.reason}`;
  }
  console.log(`${name.padEnd(18)} ${String(text.length).padStart(8)} characters, ${Math.round(performance.now() - start)} ms  ${result}`);
}
console.log(`\nand {}.admin is ${String(({} as { admin?: unknown }).admin)}`);
