/**
 * Lesson 17: the merge key. `<<: *base` and `<<: [*a, *b]` put the entries of other maps into this
 * one.
 *
 * The rule is that of YAML 1.1 (type "merge"): a key that the map has itself stays; of a list, the
 * earlier map wins. YAML 1.2 dropped the merge key, and everybody goes on writing it: it is the
 * main use of anchors.
 *
 * Invariants: an entry keeps the position where it was written, so that a complaint points at the
 * anchor's line; merging holds no more entries than the aliases were charged for (reader.ts), so
 * merges of merges stay bounded.
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { MappingEntry, MappingNode, ScalarNode, YamlNode } from "./node.ts";

/** Only unquoted: `"<<"` is a key like any other. */
export function isMergeKey({ style, text }: ScalarNode): boolean {
  return style === "plain" && text === "<<";
}

// #region merged
/**
 * The entries of a map with those that its merge key brings. `refuse` gets a node that cannot be
 * merged.
 */
export function merged(entries: MappingEntry[], refuse: (node: YamlNode) => never): MappingEntry[] {
  const merge = entries.find(({ key }) => isMergeKey(key));
  if (merge === undefined) return entries;
  const own = entries.filter((entry) => entry !== merge);
  const seen = new Set(own.map(({ key }) => key.text));
  for (const entry of mapsIn(merge.value, refuse).flatMap((map) => map.entries)) {
    if (seen.has(entry.key.text)) continue;
    seen.add(entry.key.text);
    own.push(entry);
  }
  return own;
}
// #endregion

function mapsIn(value: YamlNode, refuse: (node: YamlNode) => never): readonly MappingNode[] {
  if (value.kind === "mapping") return [value];
  if (value.kind !== "sequence") return refuse(value);
  return value.items.map((item) => (item.kind === "mapping" ? item : refuse(item)));
}
