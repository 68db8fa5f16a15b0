/**
 * Lesson 19: edges between jobs, as edits of `depends_on` or `needs`, in whatever form it has.
 *
 *     depends_on: a          and b          depends_on: [a, b]
 *     needs: [a]             and b          needs: [a, b]
 *     needs:                                needs:
 *       - a  # why           and b            - a  # why
 *                                             - b
 *
 * Invariants: an edge that would close a circle is refused with the way around; a job that no
 * longer waits for a parent does not want to run where that parent ran.
 * Test: test/19-dashboard.build.test.ts
 */
import {
  edit, jobOf, parentsNode, valueOf, type Document, type Job,
} from "./document.ts";
import { appendItem, EditError, removeAt, removePart, replaceValue, setAt } from "./edit.ts";
import type { Splice } from "./splice.ts";
import { flow } from "./write.ts";

/** The ids from `from` along edges to `to`; undefined if there is no way. */
export function wayBetween({ jobs }: Document, from: string, to: string): string[] | undefined {
  const children = new Map<string, string[]>();
  for (const { id, parents } of jobs) {
    if (id === undefined) continue;
    for (const parent of parents) children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  const cameFrom = new Map<string, string>([[from, from]]);
  const queue = [from];
  for (const at of queue) {
    if (at === to) break;
    for (const child of children.get(at) ?? []) {
      if (cameFrom.has(child)) continue;
      cameFrom.set(child, at);
      queue.push(child);
    }
  }
  if (!cameFrom.has(to)) return undefined;
  const way = [to];
  while (way[0] !== from) way.unshift(cameFrom.get(way[0]!)!);
  return way;
}

/** The ids of all jobs that wait for this one, or (`up`) that it waits for, directly or not. */
export function reached({ jobs }: Document, id: string, { up = false } = {}): Set<string> {
  const next = new Map<string, string[]>();
  const add = (from: string, to: string): void => {
    const known = next.get(from);
    if (known === undefined) next.set(from, [to]);
    else known.push(to);
  };
  for (const job of jobs) {
    if (job.id === undefined) continue;
    for (const parent of job.parents) up ? add(job.id, parent) : add(parent, job.id);
  }
  const found = new Set<string>();
  const queue = [id];
  for (const at of queue) {
    for (const each of next.get(at) ?? []) {
      if (found.has(each)) continue;
      found.add(each);
      queue.push(each);
    }
  }
  return found;
}

/** Why no edge can go from one job to another; undefined if it can. */
export function edgeProblem(document: Document, parent: Job, child: Job): string | undefined {
  if (parent.id === undefined || child.id === undefined) return "A job without an id has no edges.";
  if (parent.id === child.id) return `${parent.id} cannot wait for itself.`;
  if (child.parents.includes(parent.id)) return `${child.id} waits for ${parent.id} already.`;
  const way = wayBetween(document, child.id, parent.id);
  if (way === undefined) return undefined;
  return `This would be a circle: ${[...way, child.id].join(" → ")}.`;
}

export function connect(document: Document, parentKey: string, childKey: string): Document {
  const [parent, child] = [jobOf(document, parentKey), jobOf(document, childKey)];
  const problem = edgeProblem(document, parent, child);
  if (problem !== undefined) throw new EditError(problem);
  return edit(document, addParent(document, child, parent.id!));
}

function addParent(document: Document, child: Job, id: string): Splice[] {
  const { places, root } = document;
  const key = parentsNode(child.node)?.key ?? "depends_on";
  const path = ["jobs", child.index, key];
  const slot = places.find(root, path);
  const ids = [...child.parents, id];
  if (slot === undefined) return setAt(document, path, [id]);
  const { node } = slot;
  if (!slot.isOwn) return setAt(document, path, ids);
  if (node.kind === "sequence" && node.items.length > 0) {
    return appendItem(places, { ...slot, node }, id);
  }
  const isWord = node.kind === "scalar" && node.text !== "" && places.offset(node) + node.length ===
    slot.span.end;
  if (!isWord) return replaceValue(places, slot, ids);
  const from = places.offset(node);
  return [
    { from, to: from, text: "[" },
    { from: slot.span.end, to: slot.span.end, text: `, ${flow(id, node.style === "double")}]` },
  ];
}

export function disconnect(document: Document, parentId: string, childKey: string): Document {
  const child = jobOf(document, childKey);
  return forget(document, new Set([parentId]), [child]);
}

/**
 * These jobs stop naming those ids, as parents and as the place to run. Files that they wanted of
 * them stay wanted: the check says so, and only the author knows who makes them now.
 */
export function forget(
  document: Document,
  ids: ReadonlySet<string>,
  jobs: readonly Job[],
): Document {
  const indexes = jobs.map(({ index }) => index);
  const first = edit(
    document,
    jobs.flatMap((job) => withoutParents(document, job, ids)),
  );
  return edit(
    first,
    indexes.flatMap((index) => {
      const job = first.jobs[index]!;
      const place = valueOf(job.node, "affinity");
      const names = place?.kind === "scalar" ? place.text : "";
      const isGone = ids.has(names) || (names === "true" && job.parents.length === 0);
      return isGone ? removeAt(first, ["jobs", index, "affinity"]) : [];
    }),
  );
}

function withoutParents(document: Document, job: Job, ids: ReadonlySet<string>): Splice[] {
  const { places, root } = document;
  const found = parentsNode(job.node);
  const rest = job.parents.filter((id) => !ids.has(id));
  if (found === undefined || rest.length === job.parents.length) return [];
  const path = ["jobs", job.index, found.key];
  if (rest.length === 0) return removeAt(document, path);
  const slot = places.find(root, path)!;
  const { node } = slot;
  if (node.kind !== "sequence" || !slot.isOwn) return replaceValue(places, slot, rest);
  const gone = node.items.flatMap((item, at) =>
    (item.kind === "scalar" && ids.has(item.text) ? [node.spans![at]!] : []));
  if (gone.length !== 1) return replaceValue(places, slot, rest);
  return [removePart(places, node, gone[0]!)];
}
