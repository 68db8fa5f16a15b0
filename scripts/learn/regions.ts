/**
 * Named passages of a source file: `// #region name` … `// #endregion` (`#` comments in YAML and
 * Python). Marker lines, also those of exercises, are never part of what a lesson quotes.
 */

const MARKER = /^\s*(?:\/\/|#)\s*#(region|endregion|exercise|end-exercise)\b\s*(\S*)/;

/** A line that only tooling reads. */
export function isMarker(line: string): boolean {
  return MARKER.test(line);
}

/** Line numbers from 1, without the markers at both ends. */
export interface RegionRange {
  readonly from: number;
  readonly to: number;
}

/** Where a region is; undefined when the file has no such region, or it is not closed. */
export function findRegion(source: string, name: string): RegionRange | undefined {
  const lines = source.split("\n");
  const start = lines.findIndex((line) => {
    const match = MARKER.exec(line);
    return match?.[1] === "region" && match[2] === name;
  });
  if (start < 0) return undefined;
  let depth = 1;
  for (let i = start + 1; i < lines.length; i++) {
    const kind = MARKER.exec(lines[i] ?? "")?.[1];
    if (kind === "region") depth++;
    if (kind === "endregion" && --depth === 0) return { from: start + 2, to: i };
  }
  return undefined;
}

/** The text of a region, dedented, without markers; undefined when the file has no such region. */
export function readRegion(source: string, name: string): string | undefined {
  const range = findRegion(source, name);
  return range && tidy(source.split("\n").slice(range.from - 1, range.to));
}

/** Whether a reader is asked to write something of this region. */
export function hasExercise(source: string, { from, to }: RegionRange): boolean {
  const lines = source.split("\n").slice(from - 1, to);
  return lines.some((line) => MARKER.exec(line)?.[1] === "exercise");
}

export function regionNames(source: string): string[] {
  return source.split("\n").flatMap((line) => {
    const match = MARKER.exec(line);
    return match?.[1] === "region" ? [match[2] ?? ""] : [];
  });
}

/** Without markers, common indentation, trailing spaces, and blank lines at either end. */
export function tidy(lines: readonly string[]): string {
  const kept = lines.filter((line) => !isMarker(line)).map((line) => line.trimEnd());
  const indents = kept.filter((line) => line !== "").map((line) => /^\s*/.exec(line)![0].length);
  const indent = indents.length > 0 ? Math.min(...indents) : 0;
  return kept.map((line) => line.slice(indent)).join("\n").replace(/^\n+|\n+$/g, "");
}
