/**
 * Lesson 19: a pipeline as the value that a program would write: the field decides what a scalar
 * means, as in the reader of pipelines. `EPOCHS: 3` in `env` is the text "3", `priority: 3` a
 * number.
 *
 * Invariant: `definePipeline` of the value and `parsePipeline` of the text give the same
 * definition.
 * Test: test/19-dashboard.build.generate.test.ts
 */
import { resolveScalar, setOwn, type ScalarNode, type YamlNode } from "#yaml";
import type { Kind, Level } from "./field.ts";
import { FIELDS } from "./fields.ts";

/** The whole pipeline. Keys that begin with `x-` are the author's own, and left out. */
export function pipelineValue(root: YamlNode): Record<string, unknown> {
  return mapValue(root, "pipeline") as Record<string, unknown>;
}

function mapValue(node: YamlNode, level: Level): unknown {
  if (node.kind !== "mapping") return scalarOrList(node, "text");
  const object = {};
  for (const { key, value } of node.entries) {
    if (key.text.startsWith("x-")) continue;
    const field = FIELDS[level].find((each) => each.key === key.text);
    setOwn(object, key.text, fieldValue(value, field?.kind ?? "json", field?.level));
  }
  return object;
}

function fieldValue(node: YamlNode, kind: Kind, level: Level | undefined): unknown {
  if (kind === "json") return jsonValue(node);
  if (kind === "env" && node.kind === "mapping") {
    const object = {};
    for (const { key, value } of node.entries) {
      setOwn(object, key.text, scalarOrList(value, "text"));
    }
    return object;
  }
  // A word is the short form of some maps: `restart: never`.
  if (kind === "map" && level !== undefined) return mapValue(node, level);
  if (kind === "maps" && level !== undefined && node.kind === "sequence") {
    return node.items.map((item) => mapValue(item, level));
  }
  return scalarOrList(node, kind);
}

function scalarOrList(node: YamlNode, kind: Kind): unknown {
  if (node.kind === "scalar") return scalarValue(node, kind);
  if (node.kind === "sequence") return node.items.map((item) => scalarOrList(item, kind));
  return jsonValue(node);
}

function scalarValue(node: ScalarNode, kind: Kind): unknown {
  const resolved = resolveScalar(node);
  // `tcp:` in a health check is `tcp: true`.
  if (resolved.type === "null") return kind === "boolean" ? true : null;
  const isNumber = kind === "number" || kind === "duration";
  if (isNumber && resolved.type === "number") return resolved.value;
  const isYesNo = kind === "boolean" || kind === "place";
  if (isYesNo && resolved.type === "boolean") return resolved.value;
  return node.text;
}

/** As JSON: the one kind of field in which the text of a plain scalar decides its type. */
function jsonValue(node: YamlNode): unknown {
  if (node.kind === "sequence") return node.items.map(jsonValue);
  if (node.kind === "mapping") {
    const object = {};
    for (const { key, value } of node.entries) setOwn(object, key.text, jsonValue(value));
    return object;
  }
  const resolved = resolveScalar(node);
  if (resolved.type === "null") return null;
  return resolved.type === "ambiguous" ? node.text : resolved.value;
}
