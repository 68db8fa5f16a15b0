/**
 * As much Markdown as the lessons use: headings, fences, and the prose between them, with line
 * numbers.
 * Left out: indented code blocks and HTML, which the lesson form does not have.
 */

export interface Fence {
  /** 1-based line of the opening ```. */
  readonly line: number;
  /** What follows the opening ```: "ts run", "console", "". */
  readonly info: string;
  readonly lines: readonly string[];
  /** False when the file ended first. */
  readonly closed: boolean;
}

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly line: number;
}

export interface Markdown {
  readonly headings: readonly Heading[];
  readonly fences: readonly Fence[];
  /** Lines outside fences, 1-based numbers. */
  readonly prose: readonly { readonly line: number; readonly text: string }[];
}

/** Indentation, marks, and what follows them. */
export const FENCE = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/;
export const HEADING = /^(#{1,6})\s+(.*?)\s*$/;

/** A fence that begins at `start`: its lines, dedented, and the index of the one that ends it. */
export function fenceAt(
  lines: readonly string[], start: number,
): { info: string; body: string[]; end: number } | undefined {
  const open = FENCE.exec(lines[start] ?? "");
  if (open === null) return undefined;
  const [, indent = "", marker = "", info = ""] = open;
  let end = start + 1;
  while (end < lines.length && !closes(lines[end] ?? "", marker)) end++;
  const body = lines.slice(start + 1, end)
    .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
  return { info, body, end };
}

export function parseMarkdown(text: string): Markdown {
  const headings: Heading[] = [];
  const fences: Fence[] = [];
  const prose: { line: number; text: string }[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const fence = fenceAt(lines, i);
    if (fence === undefined) {
      const heading = HEADING.exec(line);
      if (heading) headings.push({ level: heading[1]!.length, text: heading[2]!, line: i + 1 });
      prose.push({ line: i + 1, text: line });
      continue;
    }
    const { info, body, end } = fence;
    fences.push({ line: i + 1, info, lines: body, closed: end < lines.length });
    i = end;
  }
  return { headings, fences, prose };
}

function closes(line: string, marker: string): boolean {
  const trimmed = line.trim();
  return trimmed.length >= marker.length && trimmed === marker[0]!.repeat(trimmed.length);
}

/** No prose: a picture, or a line of captions.ts: a tag, a quoted file, the way on. */
const MADE = /^<.*>$|^!\[.*\]\(.*\)$|^\*\[[^\]]+\]\([^)]+\)\*$|^(?:\[\d\d .*\) ← )?\d+ minutes\b/;

/** Words a reader reads: no code blocks, no comments, no link targets. */
export function countWords(markdown: Markdown): number {
  const text = markdown.prose
    .map((line) => line.text)
    .filter((line) => !MADE.test(line))
    .join("\n")
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/\]\([^)]*\)/g, "]");
  return text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/** The anchor that GitHub gives a heading. */
export function slug(heading: string): string {
  return heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
}
