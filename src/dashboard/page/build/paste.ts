/**
 * Lesson 19: jobs as text, out of a document and into another: in YAML, so that it works between
 * tabs, with an editor, and with a message to a colleague.
 *
 *     - id: load            copied: a list of jobs, with their comments
 *       run: ./load         pasted: ids that are taken get others, and the edges follow
 *
 * A list, one job, or a whole pipeline can be pasted. An edge to a job that is in neither document
 * is left out.
 *
 * Test: test/19-dashboard.build.test.ts
 */
import { parseYaml, YamlError } from "#yaml";
import {
  edit, isDocument, jobOf, jobsNode, readDocument, valueOf, type Document, type Job,
} from "./document.ts";
import { disconnect } from "./edges.ts";
import { EditError, setAt } from "./edit.ts";
import { addJobs, freshId, idsOf, isSpaced, renames } from "./jobs.ts";
import { plainValue } from "./slots.ts";
import { behindDash, indented } from "./write.ts";

/** The jobs as a list, in the order of the document. */
export function copyJobs(document: Document, keys: readonly string[]): string {
  const wanted = new Set(keys.map((key) => jobOf(document, key)));
  const items = document.jobs
    .filter((job) => wanted.has(job))
    .map((job) => itemText(document, job));
  return items.length === 0 ? "" : `${items.join("\n")}\n`;
}

/** A job as an item of a list in column 0: as it is written, where it can stand alone. */
function itemText({ places, root }: Document, job: Job): string {
  const list = jobsNode(root)!;
  const value = `-${behindDash(plainValue(job.node), 0)}`;
  const { span } = places.itemSlot(list, job.index)!;
  if (places.hasBrackets(list)) return value;
  const end = places.lineEnd(span.end);
  const column = list.column - 1;
  const back = new RegExp(`\\n {0,${column}}`, "g");
  const text = places.text.slice(span.start, end).replace(back, "\n");
  return isAlone(text) ? text : value;
}

/** An item that names an anchor of elsewhere, or has one itself, is written out instead. */
function isAlone(text: string): boolean {
  if (/(?:^|[\s:[{,-])[&*][A-Za-z0-9_-]/.test(text)) return false;
  try {
    parseYaml(text);
    return true;
  } catch {
    return false;
  }
}

/** Adds the jobs of `text`. `keys`: what they are called now. */
export function pasteJobs(
  document: Document, text: string,
): { document: Document; keys: string[] } {
  const other = settled(readPasted(text), document);
  const keys = other.jobs.map(({ id }) => id!);
  const list = jobsNode(document.root);
  const isBlock = list !== undefined && list.items.length > 0 && !document.places.hasBrackets(list);
  if (!isBlock) {
    const values = other.jobs.map(({ node }) => plainValue(node) as object);
    return { document: addJobs(document, values), keys };
  }
  const { places } = document;
  const column = list.column - 1;
  const at = places.lineEnd(places.itemSlot(list, list.items.length - 1)!.span.end);
  const gap = isSpaced(document) ? "\n\n" : "\n";
  const items = other.jobs.map((job) => indented(`${gap}${itemText(other, job)}`, column));
  return { document: edit(document, [{ from: at, to: at, text: items.join("") }]), keys };
}

/** The pasted text as a document of its own. */
function readPasted(text: string): Document {
  const refuse = (why: string): never => {
    throw new EditError(`Cannot paste: ${why}. Copy jobs, or a pipeline, as YAML.`);
  };
  const whole = text.replaceAll("\r\n", "\n").trimEnd();
  let kind = "";
  try {
    const node = parseYaml(whole);
    if (node.kind === "sequence") kind = "list";
    else if (node.kind === "mapping") kind = valueOf(node, "jobs") ? "pipeline" : "job";
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    return refuse(`line ${error.line} is no YAML (${error.reason})`);
  }
  const read = readDocument(
    kind === "pipeline" ? whole : kind === "list" ? `jobs:\n${whole}` :
      `jobs:\n- ${whole.replaceAll("\n", "\n  ")}`);
  if (kind === "" || !isDocument(read)) return refuse("there is no job in it");
  const isJob = ({ node }: Job): boolean => node.kind === "mapping" &&
    ["id", "run", "file", "command", "call"].some((key) => valueOf(node, key) !== undefined);
  return read.jobs.length > 0 && read.jobs.every(isJob) ? read : refuse("there is no job in it");
}

/** The pasted jobs with names that are free in `target`, and edges that lead somewhere. */
function settled(pasted: Document, target: Document): Document {
  const taken = new Set(idsOf(target));
  let after = pasted;
  const seen = new Set<string>();
  for (const { index, id } of pasted.jobs) {
    // Without an id, or with that of an earlier one of the same text.
    if (id !== undefined && !seen.has(id)) seen.add(id);
    else {
      const name = freshId(id ?? "job", new Set([...taken, ...idsOf(after)]));
      after = edit(after, setAt(after, ["jobs", index, "id"], name));
      seen.add(name);
    }
  }
  const known = new Set([...taken, ...seen]);
  for (const { key, parents } of after.jobs) {
    for (const parent of parents) if (!known.has(parent)) after = disconnect(after, parent, key);
  }
  const names = new Map<string, string>();
  for (const { id } of after.jobs) {
    const name = taken.has(id!) ? freshId(`${id}-copy`, known) : id!;
    if (name !== id) names.set(id!, name);
    taken.add(name);
    known.add(name);
  }
  return names.size === 0 ? after : edit(after, renames(after, names, after.jobs));
}
